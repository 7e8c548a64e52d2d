//! Whether the bus takes what this node reports. It may be connected and store nothing, as when its disk is full; then the node goes on,
//! sends everything again, and says so.

use std::{
    collections::BTreeMap,
    error::Error,
    fmt::{self, Display},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::Duration,
};

use async_nats::{Client, connection::State};
use chrono::{DateTime, SecondsFormat, Utc};
use tokio::time::Instant;
use tracing::{info, warn};
use vpnmanager_runtime::error_chain::chain;

/// Between two log lines about one kind.
const REPEATED: Duration = Duration::from_secs(60);
/// Everything is tried again within half a minute, and fails within five seconds. What did not fail for this long is not tried any more,
/// because there is nothing left of it: its command was taken back, for example. Until then it degrades the node.
const FORGOTTEN: Duration = Duration::from_secs(90);

/// What a node reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Report {
    /// What became of commands.
    Acks,
    /// What happened on the node.
    Events,
    /// Who was connected.
    Sessions,
    /// How it is.
    Heartbeats,
}

/// Whether the bus takes this node's reports. Cheap to clone; all clones are the same.
#[derive(Debug, Clone)]
pub struct Reporting {
    bus: Client,
    book: Arc<Mutex<Book>>,
}

/// A report on its way.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    /// The number of the connection that it left on.
    connection: u64,
}

#[derive(Debug, Default)]
struct Book {
    failing: BTreeMap<Report, Failing>,
}

/// A kind of report that does not get through.
#[derive(Debug, Clone)]
struct Failing {
    since: DateTime<Utc>,
    last: Instant,
    times: u64,
    /// What failed last.
    error: String,
    /// When that was logged, and how many failures there were then.
    logged: Option<(Instant, u64)>,
}

impl Reporting {
    /// Of the node with this connection.
    pub fn new(bus: Client) -> Self {
        Self {
            bus,
            book: Arc::default(),
        }
    }

    /// To be taken before a report is sent.
    pub fn attempt(&self) -> Attempt {
        Attempt {
            connection: self.connection(),
        }
    }

    /// The bus has taken one.
    pub fn taken(&self, report: Report) {
        for (report, failing) in self.book().taken(report) {
            info!(
                report = %report, failures = failing.times, since = %failing.since(),
                "The bus takes the reports of this node again"
            );
        }
    }

    /// The bus has not taken one. Without a connection, or over one that ended meanwhile, that is no wonder and is told elsewhere.
    pub fn failed(&self, report: Report, attempt: Attempt, error: &(dyn Error + Send + Sync + 'static)) {
        if self.bus.connection_state() != State::Connected || self.connection() != attempt.connection {
            return;
        }
        let error = chain(error).to_string();
        let times = self.book().failed(report, &error, Instant::now(), Utc::now());
        if let Some(times) = times {
            warn!(
                report = %report, error, times,
                "The bus does not take the reports of this node; they are sent again"
            );
        }
    }

    /// What does not get through, since when and why, and what to do; `None` while everything does.
    pub fn fault(&self) -> Option<String> {
        self.book().fault(Instant::now())
    }

    fn connection(&self) -> u64 {
        self.bus.statistics().connects.load(Ordering::Relaxed)
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    /// Ends what failed, and gives it. Acks, events and sessions are kept in one stream: what takes a report of sessions takes the others too.
    /// The other way round it may not: acks are small, and there may be room for one.
    fn taken(&mut self, report: Report) -> Vec<(Report, Failing)> {
        let ended: &[Report] = match report {
            Report::Acks | Report::Events => &[Report::Acks, Report::Events],
            Report::Sessions => &[Report::Acks, Report::Events, Report::Sessions],
            Report::Heartbeats => &[Report::Heartbeats],
        };
        ended
            .iter()
            .filter_map(|report| Some((*report, self.failing.remove(report)?)))
            .collect()
    }

    /// Notes a failure. `Some(times)`: log it now, and that it happened so often since the last line.
    fn failed(&mut self, report: Report, error: &str, now: Instant, at: DateTime<Utc>) -> Option<u64> {
        self.forget(now);
        let failing = self.failing.entry(report).or_insert_with(|| Failing {
            since: at,
            last: now,
            times: 0,
            error: String::new(),
            logged: None,
        });
        failing.last = now;
        failing.times += 1;
        error.clone_into(&mut failing.error);
        let (is_due, before) = match failing.logged {
            Some((logged, times)) => (now.duration_since(logged) >= REPEATED, times),
            None => (true, 0),
        };
        is_due.then(|| {
            failing.logged = Some((now, failing.times));
            failing.times - before
        })
    }

    fn fault(&mut self, now: Instant) -> Option<String> {
        self.forget(now);
        let failing: Vec<String> = self
            .failing
            .iter()
            .map(|(report, failing)| format!("no {report} since {} ({})", failing.since(), failing.error))
            .collect();
        (!failing.is_empty()).then(|| {
            format!(
                "the bus takes {} of this node: look at /health of management; if the disk of nats-server is full, make room and restart it",
                failing.join(" and ")
            )
        })
    }

    fn forget(&mut self, now: Instant) {
        self.failing
            .retain(|_, failing| now.duration_since(failing.last) < FORGOTTEN);
    }
}

impl Failing {
    fn since(&self) -> impl Display {
        self.since.to_rfc3339_opts(SecondsFormat::Secs, true)
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Acks => "acks",
            Self::Events => "events",
            Self::Sessions => "reports of sessions",
            Self::Heartbeats => "heartbeats",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_000_000 + second, 0).unwrap()
    }

    #[test]
    fn a_fault_has_its_kind_its_beginning_and_the_latest_reason_until_one_is_taken() {
        let (mut book, start) = (Book::default(), Instant::now());
        let mut fail = |report, error, second: u64| {
            let now = start + Duration::from_secs(second);
            book.failed(report, error, now, at(second.try_into().unwrap()));
            book.fault(now).unwrap()
        };
        let first = fail(Report::Acks, "timed out", 0);
        assert!(first.starts_with("the bus takes no acks since 2026-11-18T"), "{first}");
        assert!(first.contains("(timed out) of this node: look at"), "{first}");
        let later = fail(Report::Acks, "no space", 5);
        assert_eq!(later, first.replace("timed out", "no space"), "the beginning stays");
        let both = fail(Report::Events, "no space", 7);
        assert!(both.contains("(no space) and no events since"), "{both}");
        let three = fail(Report::Sessions, "no space", 7);
        assert!(three.contains("(no space) and no reports of sessions since"), "{three}");
        fail(Report::Heartbeats, "closed", 8);

        let ended: Vec<Report> = book
            .taken(Report::Sessions)
            .into_iter()
            .map(|(report, _)| report)
            .collect();
        assert_eq!(
            ended,
            [Report::Acks, Report::Events, Report::Sessions],
            "they share a stream"
        );
        assert!(book.fault(start).unwrap().contains("no heartbeats since"));
        assert_eq!(book.taken(Report::Heartbeats).len(), 1);
        assert_eq!(book.fault(start), None);
        assert!(book.taken(Report::Acks).is_empty());
    }

    #[test]
    fn a_minute_of_failures_is_one_line_with_a_count() {
        let (mut book, start) = (Book::default(), Instant::now());
        let lines: Vec<u64> = (0..125)
            .filter_map(|second| book.failed(Report::Acks, "", start + Duration::from_secs(second), at(0)))
            .collect();
        assert_eq!(lines, [1, 60, 60]);
        assert_eq!(
            book.failed(Report::Events, "", start, at(0)),
            Some(1),
            "each kind for itself"
        );
    }

    #[test]
    fn what_is_not_tried_any_more_is_no_fault() {
        let (mut book, start) = (Book::default(), Instant::now());
        book.failed(Report::Acks, "", start, at(0));
        let last = start + FORGOTTEN;
        assert!(book.fault(last - Duration::from_secs(1)).is_some());
        assert_eq!(book.fault(last), None);
        assert_eq!(book.failed(Report::Acks, "", last, at(300)), Some(1), "it begins anew");
    }
}
