//! The connections that are open: how many, whose, and which of them makes room.
//!
//! When there is no room for another one, the connection makes room that has waited longest for its caller: for the rest of a request, or
//! for its answer to be read. A request that management works on is never cut off. So whoever sends requests gets in, however many
//! silent connections others hold.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::config::HttpConfig;
use super::connection::Connection;
use super::source::Source;

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
    /// Requests of connections that carry several.
    requests: usize,
    requests_by_source: HashMap<Source, usize>,
}

/// Why a connection is not taken, and the number that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// The address has its share, and requests are worked on in all of them.
    Source(usize),
    /// All are taken, and requests are worked on in all of them.
    Server(usize),
}

/// Counts a connection as long as it lives.
#[derive(Debug)]
pub(super) struct Entry {
    connections: Connections,
    id: u64,
    pub(super) connection: Arc<Connection>,
}

/// Counts one of several requests of a connection as long as it lives.
#[derive(Debug)]
pub(super) struct Asked {
    connections: Connections,
    /// The connection that carries it.
    carrier: Arc<Connection>,
    /// The request by itself.
    pub(super) request: Arc<Connection>,
}

impl Entry {
    /// Counts another request of this connection, within the numbers that hold for connections: who uses HTTP/2 gets no more than others.
    pub(super) fn ask(&self) -> Result<Asked, Full> {
        let (connections, carrier) = (&self.connections, &self.connection);
        let mut book = connections.book();
        let (share, most) = (
            connections.limits.config.max_connections_per_address.get(),
            connections.limits.most,
        );
        if book.requests >= most {
            return Err(Full::Server(most));
        }
        if let Some(source) = carrier.source() {
            let count = book.requests_by_source.entry(source).or_default();
            if *count >= share {
                return Err(Full::Source(share));
            }
            *count += 1;
        }
        book.requests += 1;
        drop(book);
        Ok(Asked {
            connections: connections.clone(),
            carrier: carrier.clone(),
            request: carrier.begin(),
        })
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.carrier.end(&self.request);
        let mut book = self.connections.book();
        book.requests -= 1;
        if let Some(source) = self.carrier.source() {
            forget_one(&mut book.requests_by_source, source);
        }
    }
}

impl Connections {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            book: Arc::default(),
        }
    }

    /// Counts another connection. Where there is no room, the one that has waited longest for its caller is closed: of the same address if
    /// that has its share, else of the address with the most connections. Without a source it came through a proxy: it counts in all only.
    pub(super) fn enter(&self, source: Option<Source>, now: Instant) -> Result<Entry, Full> {
        let mut book = self.book();
        let share = self.limits.config.max_connections_per_address.get();
        if source.is_some() && book.count(source) >= share {
            let victim = book.longest_waiting(|connection| connection.source() == source);
            book.close(victim.ok_or(Full::Source(share))?);
        }
        if book.open.len() >= self.limits.most && !book.make_room() {
            return Err(Full::Server(self.limits.most));
        }
        let id = book.next;
        book.next += 1;
        let connection = Arc::new(Connection::new(source, now));
        book.open.insert(id, connection.clone());
        if let Some(source) = source {
            *book.by_source.entry(source).or_default() += 1;
        }
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
        self.close_if(|connection| connection.is_silent());
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
    /// How many its caller has; one that came through a proxy is the only one of its caller, as far as is known.
    fn count(&self, source: Option<Source>) -> usize {
        source.map_or(1, |source| self.by_source.get(&source).copied().unwrap_or(0))
    }

    fn make_room(&mut self) -> bool {
        let waiting = self.open.iter().filter_map(|(id, connection)| {
            let since = connection.waits_since()?;
            Some((self.count(connection.source()), Reverse(since), *id))
        });
        let victim = waiting.max().map(|(.., id)| id);
        victim.map(|id| self.close(id)).is_some()
    }

    fn longest_waiting(&self, among: impl Fn(&Connection) -> bool) -> Option<u64> {
        let waiting = self.open.iter().filter(|(_, connection)| among(connection));
        let waiting = waiting.filter_map(|(id, connection)| Some((connection.waits_since()?, *id)));
        waiting.min().map(|(_, id)| id)
    }

    fn close(&mut self, id: u64) {
        if let Some(connection) = self.remove(id) {
            connection.close();
        }
    }

    fn remove(&mut self, id: u64) -> Option<Arc<Connection>> {
        let connection = self.open.remove(&id)?;
        if let Some(source) = connection.source() {
            forget_one(&mut self.by_source, source);
        }
        Some(connection)
    }
}

fn forget_one(counts: &mut HashMap<Source, usize>, source: Source) {
    if let Some(count) = counts.get_mut(&source) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&source);
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.connections.book().remove(self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn connections(most: usize, per_address: usize) -> Connections {
        Connections::new(Limits {
            config: HttpConfig {
                max_connections_per_address: per_address.try_into().unwrap(),
                ..HttpConfig::default()
            },
            most,
        })
    }

    fn source(last: u8) -> Option<Source> {
        Some(Source::of([192, 0, 2, last].into()))
    }

    fn is_closed(entry: &Entry) -> bool {
        entry.connection.is_closed()
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
        assert_eq!(connections.enter(source(2), now).err(), Some(Full::Source(2)));
        drop(second);
        assert!(connections.enter(source(2), now).is_ok());
        assert!(connections.enter(source(1), now).is_ok());
    }

    #[test]
    fn a_proxy_is_no_single_caller_and_whoever_holds_many_makes_room_for_it() {
        let connections = connections(5, 2);
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        let proxied: Vec<Entry> = (0..3)
            .map(|second| connections.enter(None, at(second)).unwrap())
            .collect();
        let hoarded: Vec<Entry> = (3..5)
            .map(|second| connections.enter(source(1), at(second)).unwrap())
            .collect();

        let another = connections.enter(None, at(5)).unwrap();

        assert_eq!(hoarded.iter().map(is_closed).collect::<Vec<_>>(), [true, false]);
        assert!(!proxied.iter().chain([&another]).any(is_closed));
        drop((proxied, another));
        assert!(connections.enter(source(1), at(6)).is_ok() && !is_closed(&hoarded[1]));
    }

    #[test]
    fn requests_of_one_connection_are_counted_as_connections_are() {
        let connections = connections(3, 2);
        let now = Instant::now();
        let (first, other) = (
            connections.enter(source(1), now).unwrap(),
            connections.enter(None, now).unwrap(),
        );
        let asked = [first.ask().unwrap(), first.ask().unwrap()];
        assert_eq!(first.ask().err(), Some(Full::Source(2)));
        let third = other.ask().unwrap();
        assert_eq!(other.ask().err(), Some(Full::Server(3)));
        drop(asked);
        assert!(first.ask().is_ok() && first.connection.is_silent());
        drop(third);
        assert!(other.ask().is_ok());
    }

    #[test]
    fn nobody_is_cut_off_while_the_server_works() {
        let connections = connections(1, 1);
        let now = Instant::now();
        let only = connections.enter(source(1), now).unwrap();
        only.connection.complete();
        assert_eq!(connections.enter(source(2), now).err(), Some(Full::Server(1)));
        connections.close_overdue(now + Duration::from_secs(3600));
        assert!(!is_closed(&only));
    }
}
