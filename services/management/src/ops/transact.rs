//! Runs an operation in a transaction, and tries again after a conflict with another transaction.

use std::{error::Error, iter::successors, ops::Deref, sync::Arc, time::Duration};

use sea_orm::{DatabaseConnection, DatabaseTransaction, DbErr, TransactionTrait};

use crate::{
    ops::sqlstate::{Meaning, meaning},
    renewal::renew,
};

use vpnmanager_runtime::backoff::{Backoff, jittered};

const MAX_TRIES: u32 = 6;
/// Of those that a connection refuses because it takes no changes.
const MAX_TRIES_READ_ONLY: u32 = 3;
/// Between two tries, so that those who lost against each other do not meet again.
const PAUSE: Backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(200));

/// The transaction, as the operation sees it. It cannot be cloned, so it is dropped when the operation has ended.
#[derive(Debug)]
pub struct Transaction(Arc<DatabaseTransaction>);

impl Deref for Transaction {
    type Target = DatabaseTransaction;

    fn deref(&self) -> &DatabaseTransaction {
        &self.0
    }
}

/// Runs `operation` in a transaction and commits it; an error rolls it back. After a conflict with another transaction, or where another one
/// holds what is needed, `operation` runs again from the beginning, six times in all; where a connection takes no changes, three times, on
/// new ones. So it must do nothing outside the transaction. An error that keeps the database's as its source is recognised.
///
/// The handle is passed by value because the compiler cannot prove yet that the future of an `async |transaction: &_|` closure may move
/// between threads.
pub async fn transact<T, E, Operation, Run>(db: &DatabaseConnection, mut operation: Operation) -> Result<T, E>
where
    E: Error + From<DbErr> + 'static,
    Operation: FnMut(Transaction) -> Run,
    Run: Future<Output = Result<T, E>>,
{
    let mut tries = 1;
    loop {
        let result = attempt(db, &mut operation).await;
        match &result {
            Err(error) if tries < MAX_TRIES && is_worth_another_try(error) => {
                tokio::time::sleep(jittered(PAUSE.after(tries))).await;
                tries += 1;
            }
            // After a failover the connection may be an old one. It is back in the pool after the pause.
            Err(error) if tries < MAX_TRIES_READ_ONLY && means(error, Meaning::ReadOnly) => {
                tokio::time::sleep(jittered(PAUSE.after(tries))).await;
                renew(db);
                tries += 1;
            }
            Ok(_) | Err(_) => return result,
        }
    }
}

async fn attempt<T, E, Operation, Run>(db: &DatabaseConnection, operation: &mut Operation) -> Result<T, E>
where
    E: Error + From<DbErr> + 'static,
    Operation: FnMut(Transaction) -> Run,
    Run: Future<Output = Result<T, E>>,
{
    let transaction = Arc::new(db.begin().await?);
    let done = operation(Transaction(Arc::clone(&transaction))).await?;
    let transaction = Arc::into_inner(transaction).expect("the operation has ended and its handle cannot be cloned");
    transaction.commit().await?;
    Ok(done)
}

/// Whether the error, or one that caused it, is the database's answer to the loser.
fn is_worth_another_try(error: &(dyn Error + 'static)) -> bool {
    meanings(error).any(Meaning::is_worth_another_try)
}

fn means(error: &(dyn Error + 'static), wanted: Meaning) -> bool {
    meanings(error).any(|meaning| meaning == wanted)
}

/// What the error, and those that caused it, mean where they are the database's.
fn meanings<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = Meaning> + 'a {
    successors(Some(error), |&error| error.source())
        .filter_map(|error| error.downcast_ref())
        .map(meaning)
}
