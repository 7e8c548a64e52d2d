//! The one thread that writes: whatever is queued shares one commit.

use std::{sync::Arc, time::Duration};

use rusqlite::{Connection, Transaction};
use tokio::{
    runtime::Handle,
    sync::{mpsc, watch},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use vpnmanager_runtime::error_chain::chain;

use super::{error::JournalError, fault::WriteFault, mark::Mark, records::Records};

/// Writes in one commit.
const BATCH: usize = 256;
/// How long a write waits while another process holds the file.
pub(super) const HELD_WITHIN: Duration = Duration::from_secs(5);
/// Between two tries of a journal that cannot be written, while nobody writes.
const PROBE_EVERY: Duration = Duration::from_secs(1);

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

/// What the writer works with.
pub(super) struct Writer {
    /// The only connection that writes.
    pub(super) connection: Connection,
    /// Counts the commits beside it.
    pub(super) mark: Mark,
    /// What the last write showed.
    pub(super) fault: WriteFault,
    /// Grows with each commit.
    pub(super) commits: watch::Sender<u64>,
}

impl Writer {
    /// Writes until every handle is gone, or the process is stopping and the queue is empty.
    pub(super) fn write_batches(mut self, runtime: &Handle, mut jobs: mpsc::Receiver<Job>, stop: &CancellationToken) {
        while let Some(batch) = runtime.block_on(self.take(&mut jobs, stop)) {
            if batch.is_empty() {
                self.probe();
            } else {
                self.write(batch);
            }
        }
    }

    /// The next writes; none when it is time to see whether a journal that could not be written can be.
    async fn take(&self, jobs: &mut mpsc::Receiver<Job>, stop: &CancellationToken) -> Option<Vec<Job>> {
        let mut batch = Vec::new();
        let taken = tokio::select! {
            biased;
            taken = jobs.recv_many(&mut batch, BATCH) => taken,
            () = stop.cancelled() => {
                jobs.close();
                jobs.recv_many(&mut batch, BATCH).await
            }
            () = tokio::time::sleep(PROBE_EVERY), if self.fault.is_failing() => return Some(batch),
        };
        (taken > 0).then_some(batch)
    }

    fn write(&mut self, batch: Vec<Job>) {
        let mut replies = Vec::with_capacity(batch.len());
        let mut batch = batch.into_iter();
        let committed = self.commit(|transaction| {
            for Job(work) in batch.by_ref() {
                replies.push(work(Ok(&mut *transaction)));
            }
        });
        let failure = committed.err().map(Arc::new);
        if let Some(failure) = &failure {
            self.fault.failed(failure);
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

    /// Commits nothing but the count of commits, and does not wait for who holds the file: a write may come meanwhile.
    fn probe(&mut self) {
        let probed = self
            .connection
            .busy_timeout(Duration::ZERO)
            .and_then(|()| self.commit(|_nothing| {}));
        if let Err(failure) = probed {
            debug!(error = %chain(&failure), "The journal still cannot be written");
        }
        if let Err(failure) = self.connection.busy_timeout(HELD_WITHIN) {
            warn!(error = %chain(&failure), "Writes to the journal do not wait for who holds it");
        }
    }

    fn commit(&mut self, work: impl FnOnce(&mut Transaction<'_>)) -> rusqlite::Result<()> {
        let mut transaction = self
            .connection
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        work(&mut transaction);
        let commits = Records {
            connection: &transaction,
        }
        .count_commit()?;
        transaction.commit()?;
        self.fault.committed();
        if let Err(failure) = self.mark.set(commits) {
            warn!(error = %failure, "The mark beside the journal could not be written");
        }
        self.commits.send_modify(|count| *count += 1);
        Ok(())
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
