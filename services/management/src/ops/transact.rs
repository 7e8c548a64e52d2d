//! Runs an operation in a transaction, and tries again after a conflict with another transaction.

use std::{ops::Deref, sync::Arc, time::Duration};

use sea_orm::{DatabaseConnection, DatabaseTransaction, DbErr, TransactionTrait};

use crate::ops::sqlstate::sqlstate;

use vpnmanager_runtime::backoff::{Backoff, jittered};

const MAX_TRIES: u32 = 6;
/// Between two tries, so that those who lost against each other do not meet again.
const PAUSE: Backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(200));
/// PostgreSQL manual, appendix A: `serialization_failure` and `deadlock_detected`. The whole transaction was rolled back.
const LOST_AGAINST_ANOTHER: [&str; 2] = ["40001", "40P01"];

/// An error of an operation that may come from the database.
pub trait FromDatabase: From<DbErr> {
    /// The error of the database, if it is one.
    fn database(&self) -> Option<&DbErr>;
}

impl FromDatabase for DbErr {
    fn database(&self) -> Option<&DbErr> {
        Some(self)
    }
}

/// The transaction, as the operation sees it. It cannot be cloned, so it is dropped when the operation has ended.
#[derive(Debug)]
pub struct Transaction(Arc<DatabaseTransaction>);

impl Deref for Transaction {
    type Target = DatabaseTransaction;

    fn deref(&self) -> &DatabaseTransaction {
        &self.0
    }
}

/// Runs `operation` in a transaction and commits it; an error rolls it back. After a conflict with another transaction `operation` runs
/// again from the beginning, four times in all. So it must do nothing outside the transaction.
///
/// The handle is passed by value because the compiler cannot prove yet that the future of an `async |transaction: &_|` closure may move
/// between threads.
pub async fn transact<T, E, Operation, Run>(db: &DatabaseConnection, mut operation: Operation) -> Result<T, E>
where
    E: FromDatabase,
    Operation: FnMut(Transaction) -> Run,
    Run: Future<Output = Result<T, E>>,
{
    let mut tries = 1;
    loop {
        let result = attempt(db, &mut operation).await;
        match &result {
            Err(error) if tries < MAX_TRIES && error.database().is_some_and(lost_against_another) => {
                tokio::time::sleep(jittered(PAUSE.after(tries))).await;
                tries += 1;
            }
            Ok(_) | Err(_) => return result,
        }
    }
}

async fn attempt<T, E, Operation, Run>(db: &DatabaseConnection, operation: &mut Operation) -> Result<T, E>
where
    E: FromDatabase,
    Operation: FnMut(Transaction) -> Run,
    Run: Future<Output = Result<T, E>>,
{
    let transaction = Arc::new(db.begin().await?);
    let done = operation(Transaction(Arc::clone(&transaction))).await?;
    let transaction = Arc::into_inner(transaction).expect("the operation has ended and its handle cannot be cloned");
    transaction.commit().await?;
    Ok(done)
}

fn lost_against_another(error: &DbErr) -> bool {
    sqlstate(error).is_some_and(|code| LOST_AGAINST_ANOTHER.contains(&code.as_str()))
}
