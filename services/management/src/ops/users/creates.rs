//! Gathers creates that come at the same time into one transaction.

use std::net::IpAddr;

use sea_orm::DatabaseConnection;
use vpnmanager_runtime::{
    batch::{BatchLimits, Batcher},
    reconcile::Wake,
    tasks::Tasks,
    traces::{self, TraceParent},
};

use super::{
    create::{CreateUserError, NewUser, PlacementRules, create_batch},
    read::UserView,
};
use crate::{
    metrics::work::{Batch, WorkMetrics},
    user_traces::UserTraces,
};

/// Batches creates, so that many share a commit. Callers come in turn: one who creates thousands holds up no other. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Creates {
    batcher: Batcher<Wanted, Result<UserView, CreateUserError>>,
}

/// Who hears of users that were created.
#[derive(Debug, Clone)]
pub struct Created {
    /// Wakes the task that publishes placements.
    pub publisher: Wake,
    /// Figures for monitoring.
    pub work: WorkMetrics,
    /// The traces of requests that changed users.
    pub traces: UserTraces,
}

impl Created {
    fn tell(&self, traces: Vec<Option<TraceParent>>, results: &[Result<UserView, CreateUserError>]) {
        self.work.batch(Batch::Creates, results.len());
        for (trace, result) in traces.into_iter().zip(results) {
            if let Ok(view) = result {
                self.traces.remember(view.user.key, trace);
            }
        }
        self.publisher.wake();
    }
}

/// A user to create, and the trace of the request for it.
#[derive(Debug)]
struct Wanted {
    new: NewUser,
    trace: Option<TraceParent>,
}

impl Creates {
    /// Starts two workers: one writes the next batch while the previous one is synced to disk.
    pub fn start(tasks: &Tasks, db: &DatabaseConnection, rules: PlacementRules, created: Created) -> Self {
        let limits = BatchLimits {
            batch: 64,
            workers: 2,
            ..BatchLimits::default()
        };
        let db = db.clone();
        let batcher = Batcher::start_in_turn(tasks, "create-users", limits, caller_of, move |batch: Vec<Wanted>| {
            let (db, rules, created) = (db.clone(), rules.clone(), created.clone());
            async move {
                let (batch, traces) = batch.into_iter().map(|wanted| (wanted.new, wanted.trace)).unzip();
                let results = create_batch(&db, &rules, batch).await;
                created.tell(traces, &results);
                results
            }
        });
        Self { batcher }
    }

    /// Creates one user, in a batch with the other creates of this moment.
    pub async fn submit(&self, new: NewUser) -> Result<UserView, CreateUserError> {
        let trace = traces::current();
        let answer = self.batcher.submit(Wanted { new, trace }).await;
        answer.map_err(|_| CreateUserError::Stopping)?
    }
}

/// Whose turn it is: that of a key, and then that of an address with it, so that one holds up neither other keys nor others who have the same one.
fn caller_of(wanted: &Wanted) -> (String, Option<IpAddr>) {
    let actor = &wanted.new.actor;
    (actor.name.clone(), actor.address)
}
