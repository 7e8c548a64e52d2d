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
    ops::{
        audit::{self, Entry},
        transact::transact,
    },
};

static REFUSED: LogLimit = LogLimit::new("access was refused");
static SLOWED: LogLimit = LogLimit::new("a request without a key was put off");

/// Counts refusals of callers that nobody knows. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Gatekeeper {
    refusals: Arc<Mutex<Refusals>>,
    keyless: Arc<Mutex<SourceBudget>>,
}

impl Gatekeeper {
    /// `keyless_requests`: requests without a key that one caller may send in 10 s.
    pub fn new(keyless_requests: u32) -> Self {
        Self {
            refusals: Arc::default(),
            keyless: Arc::new(Mutex::new(SourceBudget::new(keyless_requests))),
        }
    }

    /// Somebody presented a key, a join token or a link to a profile that is not valid.
    pub fn refused(&self, from: Option<Source>) {
        self.refusals().count(from);
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

    /// Records what was refused since the last time: an entry for each of the ten callers that were refused most, and one for the rest.
    ///
    /// # Errors
    /// Those of the database; the refusals are then kept for the next time.
    pub async fn record(&self, db: &DatabaseConnection, recorder: &str) -> Result<(), DbErr> {
        let report = self.refusals().report();
        if report.is_empty() {
            return Ok(());
        }
        let of_report = &report;
        let recorded = transact(db, |transaction| async move {
            audit::record_all(&transaction, entries(of_report, recorder)).await
        });
        recorded.await.inspect_err(|_| self.refusals().put_back(&report))
    }

    fn refusals(&self) -> MutexGuard<'_, Refusals> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
