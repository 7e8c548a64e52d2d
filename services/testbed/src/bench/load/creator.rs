//! Creates users, each with a new name, and counts the results.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::ensure;
use vpnmanager_testbed::{api::Api, stack::Stack};

/// The most failures whose text is kept.
const TOLD: usize = 5;

/// What a loop does again and again; false when it failed.
pub(in crate::bench) type Work = Pin<Box<dyn Future<Output = bool> + Send>>;

/// Creates users; shared by all clients of all rounds.
#[derive(Debug)]
pub(in crate::bench) struct Creator {
    api: Api,
    prefix: String,
    next: AtomicU64,
    created: AtomicU64,
    failed: AtomicU64,
    told: Mutex<Vec<String>>,
}

impl Creator {
    /// The prefix of all usernames of the benchmark.
    pub(in crate::bench) const PREFIX: &str = "bench-";

    pub(in crate::bench) fn new(stack: &Stack) -> Self {
        Self::named(stack, Self::PREFIX)
    }

    /// One whose usernames begin with this.
    pub(in crate::bench) fn named(stack: &Stack, prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
            api: stack.api(),
            next: AtomicU64::new(1),
            created: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            told: Mutex::default(),
        }
    }

    /// Creates one user; with `wait` it counts only if every node of the user has applied it.
    /// False when it failed.
    pub(in crate::bench) async fn create(&self, wait: Option<Duration>) -> bool {
        let name = format!("{}{:07}", self.prefix, self.next.fetch_add(1, Ordering::Relaxed));
        let problem = match self.api.create_user(&name, wait).await {
            Err(error) => Some(anyhow::Error::from(error).to_string()),
            Ok(answer) if answer.status != 201 => Some(format!("{}: {}", answer.status, answer.text)),
            Ok(answer) => {
                self.created.fetch_add(1, Ordering::Relaxed);
                let unsynced = wait.is_some() && answer.body["synced"] != true;
                unsynced.then(|| format!("not applied in time: {}", answer.text))
            }
        };
        let Some(problem) = problem else { return true };
        self.failed.fetch_add(1, Ordering::Relaxed);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() < TOLD {
            told.push(format!("{name}: {problem}"));
        }
        false
    }

    /// Creates that were answered 201.
    pub(in crate::bench) fn created(&self) -> u64 {
        self.created.load(Ordering::Relaxed)
    }

    /// Fails if a create failed, with the first few reasons.
    pub(in crate::bench) fn sound(&self) -> anyhow::Result<()> {
        let failed = self.failed.load(Ordering::Relaxed);
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        ensure!(failed == 0, "{failed} creates failed; {}", told.join("; "));
        Ok(())
    }
}

/// Creates, as work for a loop.
pub(in crate::bench) fn creates(
    creator: &Arc<Creator>,
    wait: Option<Duration>,
) -> impl Fn() -> Work + Send + Sync + 'static {
    let creator = Arc::clone(creator);
    move || {
        let creator = Arc::clone(&creator);
        Box::pin(async move { creator.create(wait).await })
    }
}
