//! Gathers creates that come at the same time into one transaction.

use std::net::IpAddr;

use sea_orm::DatabaseConnection;
use vpnmanager_runtime::{
    batch::{BatchLimits, Batcher},
    reconcile::Wake,
    tasks::Tasks,
};

use super::{
    create::{CreateUserError, NewUser, PlacementRules, create_batch},
    read::UserView,
};

/// Batches creates, so that many share a commit. Callers come in turn: one who creates thousands holds up no other. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Creates {
    batcher: Batcher<NewUser, Result<UserView, CreateUserError>>,
}

impl Creates {
    /// Starts two workers: one writes the next batch while the previous one is synced to disk.
    pub fn start(tasks: &Tasks, db: &DatabaseConnection, rules: PlacementRules, publisher: &Wake) -> Self {
        let limits = BatchLimits {
            batch: 64,
            workers: 2,
            ..BatchLimits::default()
        };
        let (db, publisher) = (db.clone(), publisher.clone());
        let batcher = Batcher::start_in_turn(tasks, "create-users", limits, caller_of, move |batch| {
            let (db, rules, publisher) = (db.clone(), rules.clone(), publisher.clone());
            async move {
                let results = create_batch(&db, &rules, batch).await;
                publisher.wake();
                results
            }
        });
        Self { batcher }
    }

    /// Creates one user, in a batch with the other creates of this moment.
    pub async fn submit(&self, new: NewUser) -> Result<UserView, CreateUserError> {
        self.batcher.submit(new).await.map_err(|_| CreateUserError::Stopping)?
    }
}

/// Whose turn it is: that of a key, and then that of an address with it, so that one holds up neither other keys nor others who have the same one.
fn caller_of(new: &NewUser) -> (String, Option<IpAddr>) {
    (new.actor.name.clone(), new.actor.address)
}
