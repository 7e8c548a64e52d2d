//! One open connection, and what it is waiting for. A connection of HTTP/2 carries several requests: each of them waits by itself, and the
//! connection for the one that waits longest.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::config::HttpConfig;
use super::source::Source;

/// A caller that reads nothing of its answer for this long is cut off.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// What a body may take longer than `body_timeout`, so that the request itself is answered with 408 first.
const BODY_GRACE: Duration = Duration::from_secs(5);

/// One connection, or one request of a connection of HTTP/2; a request finds it in its extensions.
#[derive(Debug)]
pub(crate) struct Connection {
    source: Option<Source>,
    state: Mutex<State>,
    close: CancellationToken,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    since: Instant,
    /// Since when the caller has read nothing of what is sent.
    unread_since: Option<Instant>,
    /// Whether there was a request before.
    used: bool,
    /// Whether it carries several requests at once.
    multiplexed: bool,
    /// These requests.
    requests: Vec<Arc<Connection>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No byte of the next request has come.
    Silent,
    /// Some of its head has come.
    Head,
    /// Its key is being checked, or its body is awaited.
    Body,
    /// The server works on it.
    Working,
    /// The answer is being sent.
    Answering,
    /// All of the answer was handed to the socket's buffer.
    Sent,
}

impl Connection {
    pub(super) fn new(source: Option<Source>, now: Instant) -> Self {
        Self {
            source,
            state: Mutex::new(State {
                phase: Phase::Silent,
                since: now,
                unread_since: None,
                used: false,
                multiplexed: false,
                requests: Vec::new(),
            }),
            close: CancellationToken::new(),
        }
    }

    /// Whom it counts for; `None`: it came through a proxy, and may be anybody's.
    pub(super) fn source(&self) -> Option<Source> {
        self.source
    }

    /// Whether nothing was asked in it: at most some of a head has come.
    pub(super) fn is_silent(&self) -> bool {
        let state = self.state();
        matches!(state.phase, Phase::Silent | Phase::Head) && state.requests.is_empty()
    }

    /// From now on it carries several requests at once.
    pub(super) fn multiplex(&self) {
        self.state().multiplexed = true;
    }

    /// The head of one of several requests is complete.
    pub(super) fn begin(&self) -> Arc<Self> {
        let request = Arc::new(Self::new(self.source, Instant::now()));
        request.requested();
        self.state().requests.push(request.clone());
        request
    }

    /// One of several requests was answered, or given up.
    pub(super) fn end(&self, request: &Arc<Self>) {
        let mut state = self.state();
        state.requests.retain(|other| !Arc::ptr_eq(other, request));
        if state.requests.is_empty() {
            state.used = true;
            state.enter(Phase::Silent);
        }
    }

    /// It is to be closed at once.
    pub(super) fn close(&self) {
        self.close.cancel();
    }

    #[cfg(test)]
    pub(super) fn is_closed(&self) -> bool {
        self.close.is_cancelled()
    }

    /// Waits until the connection is to be closed at once.
    pub(super) async fn closed(&self) {
        self.close.cancelled().await;
    }

    /// Bytes have come.
    pub(super) fn heard(&self) {
        let mut state = self.state();
        // What comes between requests of HTTP/2 need not be a head.
        if state.phase == Phase::Silent && !state.multiplexed {
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

    /// Some more of an answer was handed over, and the next piece is asked for when the caller has room for it.
    pub(super) fn gave_more(&self) {
        self.state().unread_since = Some(Instant::now());
    }

    /// Nothing can be written until the caller reads.
    pub(super) fn unread(&self) {
        self.state().unread_since.get_or_insert_with(Instant::now);
    }

    /// Since when it waits for its caller; `None` while the server works, or has nothing more to send yet.
    pub(super) fn waits_since(&self) -> Option<Instant> {
        let state = self.state();
        if !state.requests.is_empty() {
            let waits = state.requests.iter().map(|request| request.waits_since());
            // One that is worked on, or whose answer goes on, keeps the others.
            return waits.collect::<Option<Vec<_>>>()?.into_iter().min();
        }
        match state.phase {
            Phase::Working => None,
            // Of an answer that does not end, such as a stream of events, the next part is the server's to send.
            Phase::Answering => state.unread_since,
            Phase::Silent | Phase::Head | Phase::Body | Phase::Sent => Some(state.unread_since.unwrap_or(state.since)),
        }
    }

    pub(super) fn deadline(&self, config: &HttpConfig) -> Option<Instant> {
        let state = self.state();
        let unread = state.unread_since.map(|since| since + READ_TIMEOUT);
        if !state.requests.is_empty() {
            let requests = state.requests.iter().filter_map(|request| request.deadline(config));
            return requests.chain(unread).min();
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_of_several_requests_waits_for_the_slowest_and_none_that_is_worked_on_is_cut_off() {
        let config = HttpConfig::default();
        let connection = Connection::new(None, Instant::now());
        connection.multiplex();
        connection.heard();
        let begun = connection.state().since;
        assert_eq!(
            connection.deadline(&config),
            Some(begun + config.head_timeout),
            "bytes are no request"
        );
        assert!(connection.is_silent());

        let (first, second) = (connection.begin(), connection.begin());
        assert!(!connection.is_silent());
        let body = first.state().since + config.body_timeout + BODY_GRACE;
        assert_eq!(connection.deadline(&config), Some(body));
        assert_eq!(connection.waits_since(), Some(first.state().since));
        first.complete();
        second.complete();
        assert_eq!((connection.deadline(&config), connection.waits_since()), (None, None));
        second.answered();
        second.unread();
        let unread = second.state().unread_since.unwrap();
        assert_eq!(connection.deadline(&config), Some(unread + READ_TIMEOUT));
        assert_eq!(connection.waits_since(), None, "the first is worked on");

        connection.end(&second);
        connection.end(&first);
        let idle = connection.state().since;
        assert_eq!(connection.deadline(&config), Some(idle + config.idle_timeout));
        connection.heard();
        assert_eq!(connection.deadline(&config), Some(idle + config.idle_timeout));
    }

    #[test]
    fn a_stream_of_events_beside_other_requests_makes_no_room_as_long_as_it_is_read() {
        let connection = Connection::new(None, Instant::now());
        connection.multiplex();
        let stream = connection.begin();
        stream.complete();
        stream.answered();
        stream.gave_more();
        assert!(connection.waits_since().is_some(), "the next piece is not asked for");
        stream.written();
        let _upload = connection.begin();
        assert_eq!(connection.waits_since(), None);
    }

    #[test]
    fn each_phase_has_its_time() {
        let config = HttpConfig::default();
        let after = |prepare: &dyn Fn(&Connection)| {
            let connection = Connection::new(Some(Source::of([192, 0, 2, 1].into())), Instant::now());
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

    #[test]
    fn an_answer_that_goes_on_has_all_time_and_makes_no_room_as_long_as_it_is_read() {
        let connection = Connection::new(None, Instant::now());
        connection.complete();
        connection.answered();
        connection.written();
        connection.flushed();
        assert_eq!(
            (connection.deadline(&HttpConfig::default()), connection.waits_since()),
            (None, None)
        );
        connection.unread();
        assert!(connection.deadline(&HttpConfig::default()).is_some() && connection.waits_since().is_some());
    }
}
