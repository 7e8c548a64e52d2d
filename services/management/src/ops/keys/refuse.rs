//! Counts who was refused, warns, and records it in the audit trail.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sea_orm::{DatabaseConnection, DbErr};
use tracing::warn;
use vpnmanager_openapi::server::Source;
use vpnmanager_runtime::log_limit::LogLimit;

use crate::{
    domain::{
        actor::Actor,
        audit_action::AuditAction,
        refusals::{Refusals, Report},
        source_budget::SourceBudget,
    },
    metrics::work::WorkMetrics,
    ops::{
        audit::{self, Entry},
        transact::transact,
    },
};

static REFUSED: LogLimit = LogLimit::new("access was refused");
/// As many unknown keys in a minute are no typing errors: the trail has an entry of its own for them.
const ALARMING: u64 = 20;

static SLOWED: LogLimit = LogLimit::new("a request without a key was put off");

/// Counts refusals of callers that nobody knows. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Gatekeeper {
    refusals: Arc<Mutex<Refusals>>,
    /// Those of them that were unknown keys.
    wrong_keys: Arc<Mutex<Refusals>>,
    keyless: Arc<Mutex<SourceBudget>>,
    work: WorkMetrics,
}

impl Gatekeeper {
    /// `keyless_requests`: requests without a key that one caller may send in 10 s. Refusals are told to `work`.
    pub fn new(keyless_requests: u32, work: WorkMetrics) -> Self {
        Self {
            refusals: Arc::default(),
            wrong_keys: Arc::default(),
            keyless: Arc::new(Mutex::new(SourceBudget::new(keyless_requests))),
            work,
        }
    }

    /// Somebody presented a key that is not known, was revoked or has expired.
    pub fn wrong_key(&self, from: Option<Source>) {
        lock(&self.wrong_keys).count(from);
        self.refused(from);
    }

    /// Somebody presented a key, a join token or a link to a profile that is not valid.
    pub fn refused(&self, from: Option<Source>) {
        lock(&self.refusals).count(from);
        self.work.refused();
        if let Some(times) = REFUSED.admit() {
            warn!(
                client.address = from.map(tracing::field::display),
                times, "Access was refused: an unknown key, join token or link"
            );
        }
    }

    /// Counts a request without a key.
    ///
    /// # Errors
    /// When its caller must wait: how long.
    pub fn admit_keyless(&self, from: Option<Source>) -> Result<(), Duration> {
        let mut keyless = self.keyless.lock().unwrap_or_else(PoisonError::into_inner);
        let admitted = keyless.spend(from, Instant::now());
        if admitted.is_err()
            && let Some(times) = SLOWED.admit()
        {
            warn!(
                client.address = from.map(tracing::field::display),
                times, "A request without a key was put off: too many from one address"
            );
        }
        admitted
    }

    /// Records what was refused since the last time: an entry for each of the ten callers that were refused most, and one for the rest. To be
    /// called once a minute. Where so many were unknown keys that somebody guesses them, the alarm is one more entry.
    ///
    /// # Errors
    /// Those of the database; the refusals are then kept for the next time.
    pub async fn record(&self, db: &DatabaseConnection, recorder: &str) -> Result<(), DbErr> {
        let wrong_keys = lock(&self.wrong_keys).report();
        let report = lock(&self.refusals).report();
        if report.is_empty() {
            return Ok(());
        }
        let (of_report, of_keys) = (&report, &wrong_keys);
        let recorded = transact(db, |transaction| async move {
            let alarm = alarm(of_keys, recorder);
            audit::record_all(&transaction, entries(of_report, recorder).into_iter().chain(alarm)).await
        });
        recorded.await.inspect_err(|_| {
            lock(&self.refusals).put_back(&report);
            lock(&self.wrong_keys).put_back(&wrong_keys);
        })
    }
}

fn lock(refusals: &Mutex<Refusals>) -> MutexGuard<'_, Refusals> {
    refusals.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The entry about keys that somebody guesses, if somebody does.
fn alarm(wrong_keys: &Report, recorder: &str) -> Option<Entry> {
    let total = wrong_keys.total();
    if total < ALARMING {
        return None;
    }
    let named = wrong_keys.named.iter().map(|(source, times)| match source {
        Some(source) => format!("{source} ({times})"),
        None => format!("an address that is not known ({times})"),
    });
    let others = (wrong_keys.others > 0).then(|| format!("other addresses ({})", wrong_keys.others));
    let from = named.chain(others).collect::<Vec<_>>().join(", ");
    let details = format!("{total} unknown keys since the last look, a minute ago at most, from {from}");
    Some(Entry::new(&Actor::unknown(None), AuditAction::WrongKeys, recorder).details(details))
}

fn entries(report: &Report, recorder: &str) -> Vec<Entry> {
    let entry = |address: Option<IpAddr>, from: &str, times: u64| {
        let details = format!("unknown keys, join tokens or links from {from} since the last such entry: {times}");
        Entry::new(&Actor::unknown(address), AuditAction::AccessRefused, recorder).details(details)
    };
    let named = report.named.iter().map(|(source, times)| match source {
        Some(source) => entry(Some(source.address()), &source.to_string(), *times),
        None => entry(None, "an address that is not known", *times),
    });
    let others = (report.others > 0).then(|| entry(None, "other addresses", report.others));
    named.chain(others).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_needs_more_than_a_typing_error_and_names_who_tries() {
        let from = Some(Source::of([192, 0, 2, 7].into()));
        let of = |times| Report {
            named: vec![(from, times)],
            others: 5,
        };
        assert!(alarm(&of(ALARMING - 6), "management-1").is_none());
        let row = alarm(&of(ALARMING), "management-1").expect("an alarm").into_row();
        let details = row.details.unwrap().expect("words");
        assert_eq!(row.action.unwrap(), "wrong_keys");
        assert!(details.starts_with("25 unknown keys"), "{details}");
        assert!(
            details.ends_with("from 192.0.2.7 (20), other addresses (5)"),
            "{details}"
        );
    }
}
