//! The one thread that writes: whatever is queued shares one commit.

use std::sync::Arc;

use rusqlite::{Connection, Transaction};
use tokio::{
    runtime::Handle,
    sync::{mpsc, watch},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};
use vpnmanager_runtime::error_chain::chain;

use super::{error::JournalError, mark::Mark, records::Records};

/// Writes in one commit.
const BATCH: usize = 256;

/// One write: its work, and who gets its result after the commit. Without a transaction it is told why there is none.
pub(super) struct Job(Work);

type Work = Box<dyn FnOnce(Result<&mut Transaction<'_>, JournalError>) -> Reply + Send>;

/// Gives a caller its result, once it is known how the commit went.
type Reply = Box<dyn FnOnce(Result<(), JournalError>) + Send>;

impl Job {
    pub(super) fn new<T: Send + 'static>(
        work: impl FnOnce(&Records<'_>) -> Result<T, JournalError> + Send + 'static,
        tell: impl FnOnce(Result<T, JournalError>) + Send + 'static,
    ) -> Self {
        Self(Box::new(move |transaction| {
            let result = transaction.and_then(|transaction| in_savepoint(transaction, work));
            Box::new(move |committed| tell(committed.and(result)))
        }))
    }
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Job(..)")
    }
}

/// Writes until every handle is gone, or the process is stopping and the queue is empty.
pub(super) fn write_batches(
    (mut connection, mark): (Connection, Mark),
    runtime: &Handle,
    mut jobs: mpsc::Receiver<Job>,
    stop: &CancellationToken,
    committed: &watch::Sender<u64>,
) {
    while let Some(batch) = runtime.block_on(take(&mut jobs, stop)) {
        write(&mut connection, &mark, batch);
        committed.send_modify(|count| *count += 1);
    }
}

async fn take(jobs: &mut mpsc::Receiver<Job>, stop: &CancellationToken) -> Option<Vec<Job>> {
    let mut batch = Vec::new();
    let taken = tokio::select! {
        biased;
        taken = jobs.recv_many(&mut batch, BATCH) => taken,
        () = stop.cancelled() => {
            jobs.close();
            jobs.recv_many(&mut batch, BATCH).await
        }
    };
    (taken > 0).then_some(batch)
}

fn write(connection: &mut Connection, mark: &Mark, batch: Vec<Job>) {
    let mut replies = Vec::with_capacity(batch.len());
    let mut batch = batch.into_iter();
    let committed = (|| {
        let mut transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        for Job(work) in batch.by_ref() {
            replies.push(work(Ok(&mut transaction)));
        }
        let commits = Records {
            connection: &transaction,
        }
        .count_commit()?;
        transaction.commit()?;
        Ok::<_, rusqlite::Error>(commits)
    })();
    if let Ok(commits) = &committed
        && let Err(failure) = mark.set(*commits)
    {
        warn!(error = %failure, "The mark beside the journal could not be written");
    }
    let failure = committed.err().map(Arc::new);
    if let Some(failure) = &failure {
        error!(error = %chain(failure.as_ref()), "The journal could not be written");
        // No transaction began: another process holds the file.
        replies.extend(batch.map(|Job(work)| work(Err(JournalError::Commit(failure.clone())))));
    }
    for reply in replies {
        reply(
            failure
                .clone()
                .map_or(Ok(()), |failure| Err(JournalError::Commit(failure))),
        );
    }
}

/// Work that fails is undone without the rest of the batch.
fn in_savepoint<T>(
    transaction: &mut Transaction<'_>,
    work: impl FnOnce(&Records<'_>) -> Result<T, JournalError>,
) -> Result<T, JournalError> {
    let savepoint = transaction.savepoint()?;
    let value = work(&Records { connection: &savepoint })?;
    savepoint.commit()?;
    Ok(value)
}
