//! The connections that are open: how many, whose, and what each of them is waiting for.
//!
//! When there is no room for another one, the connection makes room that has waited longest for its caller: for the rest of a request, or
//! for its answer to be read. A request that management works on is never cut off. So whoever sends requests gets in, however many
//! silent connections others hold.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::config::HttpConfig;
use super::source::Source;

/// A caller that reads nothing of its answer for this long is cut off.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// What a body may take longer than `body_timeout`, so that the request itself is answered with 408 first.
const BODY_GRACE: Duration = Duration::from_secs(5);

/// The open connections of a server. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Connections {
    limits: Limits,
    book: Arc<Mutex<Book>>,
}

/// How many connections, and how long each may keep the server waiting.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) config: HttpConfig,
    /// In all: `max_connections`, or fewer.
    pub(super) most: usize,
}

#[derive(Debug, Default)]
struct Book {
    next: u64,
    open: HashMap<u64, Arc<Connection>>,
    by_source: HashMap<Source, usize>,
}

/// One connection; a request finds it in its extensions.
#[derive(Debug)]
pub(crate) struct Connection {
    source: Source,
    state: Mutex<State>,
    close: CancellationToken,
}

#[derive(Debug, Clone, Copy)]
struct State {
    phase: Phase,
    since: Instant,
    /// Since when the caller has read nothing of what is sent.
    unread_since: Option<Instant>,
    /// Whether there was a request before.
    used: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No byte of the next request has come.
    Silent,
    /// Some of its head has come.
    Head,
    /// Its body is awaited.
    Body,
    /// The server works on it.
    Working,
    /// The answer is being sent.
    Answering,
    /// All of the answer was handed to the socket's buffer.
    Sent,
}

/// Why a connection is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// The address has its share, and requests are worked on in all of them.
    Source,
    /// All are taken, and requests are worked on in all of them.
    Server,
}

/// Counts a connection as long as it lives.
#[derive(Debug)]
pub(super) struct Entry {
    connections: Connections,
    id: u64,
    pub(super) connection: Arc<Connection>,
}

impl Connections {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            book: Arc::default(),
        }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Counts another connection. Where there is no room, the one that has waited longest for its caller is closed: of the same address if
    /// that has its share, else of the address with the most connections.
    pub(super) fn enter(&self, source: Source, now: Instant) -> Result<Entry, Full> {
        let mut book = self.book();
        if book.count(source) >= self.limits.config.max_connections_per_address {
            let victim = book.longest_waiting(|connection| connection.source == source);
            book.close(victim.ok_or(Full::Source)?);
        }
        if book.open.len() >= self.limits.most && !book.make_room() {
            return Err(Full::Server);
        }
        let id = book.next;
        book.next += 1;
        let connection = Arc::new(Connection::new(source, now));
        book.open.insert(id, connection.clone());
        *book.by_source.entry(source).or_default() += 1;
        Ok(Entry {
            connections: self.clone(),
            id,
            connection,
        })
    }

    /// Closes the connection that has waited longest for its caller, of the address with the most; whether there was one.
    pub(super) fn make_room(&self) -> bool {
        self.book().make_room()
    }

    /// Closes those that are over their time.
    pub(super) fn close_overdue(&self, now: Instant) {
        self.close_if(|connection| {
            let deadline = connection.deadline(&self.limits.config);
            deadline.is_some_and(|deadline| deadline <= now)
        });
    }

    /// Closes those in which nothing was asked: the server stops.
    pub(super) fn close_silent(&self) {
        self.close_if(|connection| matches!(connection.state().phase, Phase::Silent | Phase::Head));
    }

    /// Closes all of them, whatever they are at.
    pub(super) fn close_all(&self) {
        self.close_if(|_| true);
    }

    fn close_if(&self, due: impl Fn(&Connection) -> bool) {
        let mut book = self.book();
        let ids: Vec<u64> = book
            .open
            .iter()
            .filter(|(_, connection)| due(connection))
            .map(|(id, _)| *id)
            .collect();
        ids.into_iter().for_each(|id| book.close(id));
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn count(&self, source: Source) -> usize {
        self.by_source.get(&source).copied().unwrap_or(0)
    }

    fn make_room(&mut self) -> bool {
        let mut sources: Vec<(usize, Source)> =
            self.by_source.iter().map(|(source, count)| (*count, *source)).collect();
        sources.sort_unstable_by(|left, right| right.cmp(left));
        let victim = sources
            .into_iter()
            .find_map(|(_, source)| self.longest_waiting(|connection| connection.source == source));
        victim.map(|id| self.close(id)).is_some()
    }

    fn longest_waiting(&self, among: impl Fn(&Connection) -> bool) -> Option<u64> {
        let waiting = self.open.iter().filter(|(_, connection)| among(connection));
        let waiting = waiting.filter_map(|(id, connection)| Some((connection.waits_since()?, *id)));
        waiting.min().map(|(_, id)| id)
    }

    fn close(&mut self, id: u64) {
        if let Some(connection) = self.remove(id) {
            connection.close.cancel();
        }
    }

    fn remove(&mut self, id: u64) -> Option<Arc<Connection>> {
        let connection = self.open.remove(&id)?;
        if let Some(count) = self.by_source.get_mut(&connection.source) {
            *count -= 1;
            if *count == 0 {
                self.by_source.remove(&connection.source);
            }
        }
        Some(connection)
    }
}

impl Connection {
    fn new(source: Source, now: Instant) -> Self {
        Self {
            source,
            state: Mutex::new(State {
                phase: Phase::Silent,
                since: now,
                unread_since: None,
                used: false,
            }),
            close: CancellationToken::new(),
        }
    }

    /// Waits until the connection is to be closed at once.
    pub(super) async fn closed(&self) {
        self.close.cancelled().await;
    }

    /// Bytes have come.
    pub(super) fn heard(&self) {
        let mut state = self.state();
        if state.phase == Phase::Silent {
            state.enter(Phase::Head);
        }
    }

    /// A head is complete.
    pub(super) fn requested(&self) {
        self.state().enter(Phase::Body);
    }

    /// The request is complete: from here on the server keeps the caller waiting.
    pub(crate) fn complete(&self) {
        self.state().enter(Phase::Working);
    }

    /// The answer is known.
    pub(super) fn answered(&self) {
        self.state().enter(Phase::Answering);
    }

    /// All of the answer has been taken from the application.
    pub(super) fn sent(&self) {
        let mut state = self.state();
        if state.phase == Phase::Answering {
            state.phase = Phase::Sent;
        }
    }

    /// Everything was handed to the system.
    pub(super) fn flushed(&self) {
        let mut state = self.state();
        state.unread_since = None;
        if state.phase == Phase::Sent {
            state.used = true;
            state.enter(Phase::Silent);
        }
    }

    /// Some of an answer could be written.
    pub(super) fn written(&self) {
        self.state().unread_since = None;
    }

    /// Nothing can be written until the caller reads.
    pub(super) fn unread(&self) {
        self.state().unread_since.get_or_insert_with(Instant::now);
    }

    /// Since when it waits for its caller; `None` while the server works.
    fn waits_since(&self) -> Option<Instant> {
        let state = self.state();
        (state.phase != Phase::Working).then_some(state.unread_since.unwrap_or(state.since))
    }

    fn deadline(&self, config: &HttpConfig) -> Option<Instant> {
        let state = *self.state();
        let unread = state.unread_since.map(|since| since + READ_TIMEOUT);
        match state.phase {
            Phase::Silent if state.used => Some(state.since + config.idle_timeout),
            Phase::Silent | Phase::Head => Some(state.since + config.head_timeout),
            Phase::Body => Some(state.since + config.body_timeout + BODY_GRACE),
            Phase::Working | Phase::Answering | Phase::Sent => unread,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.since = Instant::now();
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.connections.book().remove(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(most: usize, per_address: usize) -> Connections {
        Connections::new(Limits {
            config: HttpConfig {
                max_connections_per_address: per_address,
                ..HttpConfig::default()
            },
            most,
        })
    }

    fn source(last: u8) -> Source {
        Source::of([192, 0, 2, last].into())
    }

    fn is_closed(entry: &Entry) -> bool {
        entry.connection.close.is_cancelled()
    }

    #[test]
    fn the_longest_waiting_of_the_address_with_the_most_makes_room() {
        let connections = connections(4, 10);
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        let honest = connections.enter(source(1), at(0)).unwrap();
        let silent: Vec<Entry> = (1..4)
            .map(|second| connections.enter(source(2), at(second)).unwrap())
            .collect();
        silent[0].connection.complete();

        let newcomer = connections.enter(source(3), at(5)).unwrap();

        assert_eq!(silent.iter().map(is_closed).collect::<Vec<_>>(), [false, true, false]);
        assert!(!is_closed(&honest) && !is_closed(&newcomer));
    }

    #[test]
    fn an_address_with_its_share_closes_its_own_and_is_refused_when_all_are_worked_on() {
        let connections = connections(10, 2);
        let now = Instant::now();
        let other = connections.enter(source(1), now).unwrap();
        let first = connections.enter(source(2), now).unwrap();
        let second = connections.enter(source(2), now + Duration::from_secs(1)).unwrap();
        let third = connections.enter(source(2), now + Duration::from_secs(2)).unwrap();
        assert!(is_closed(&first) && !is_closed(&second) && !is_closed(&other));
        second.connection.complete();
        third.connection.complete();
        assert_eq!(connections.enter(source(2), now).err(), Some(Full::Source));
        drop(second);
        assert!(connections.enter(source(2), now).is_ok());
        assert!(connections.enter(source(1), now).is_ok());
    }

    #[test]
    fn nobody_is_cut_off_while_the_server_works() {
        let connections = connections(1, 1);
        let now = Instant::now();
        let only = connections.enter(source(1), now).unwrap();
        only.connection.complete();
        assert_eq!(connections.enter(source(2), now).err(), Some(Full::Server));
        connections.close_overdue(now + Duration::from_secs(3600));
        assert!(!is_closed(&only));
    }

    #[test]
    fn each_phase_has_its_time() {
        let config = HttpConfig::default();
        let after = |prepare: &dyn Fn(&Connection)| {
            let connection = Connection::new(source(1), Instant::now());
            prepare(&connection);
            let since = connection.state().since;
            connection
                .deadline(&config)
                .map(|deadline| (deadline - since).as_secs())
        };
        assert_eq!(after(&|_| ()), Some(10), "nothing came");
        assert_eq!(after(&|connection| connection.heard()), Some(10), "half a head");
        assert_eq!(after(&|connection| connection.requested()), Some(35), "half a body");
        let answer = |connection: &Connection| {
            connection.complete();
            connection.answered();
            connection.sent();
            connection.flushed();
        };
        assert_eq!(after(&answer), Some(75), "kept alive");
        assert_eq!(after(&|connection| connection.complete()), None, "worked on");
        let unread = |connection: &Connection| {
            connection.answered();
            connection.unread();
        };
        assert_eq!(after(&unread), Some(30), "the answer is not read");
    }
}
