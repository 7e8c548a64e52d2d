//! Waiting until everything that management promised is journaled.

use std::time::Duration;

use async_nats::jetstream::{
    ErrorCode,
    consumer::PullConsumer,
    stream::{ConsumerError, ConsumerErrorKind},
};
use tokio::{sync::watch, time::Instant};
use tracing::{debug, info};
use vpnmanager_nats::{sync::StreamId, topology::COMMANDS};

use super::{
    arrival::{Arrival, Flow},
    error::SyncError,
};
use crate::{
    journal::{Journal, JournalError},
    shared::Shared,
};

/// How often a node that is catching up looks whether it has everything.
const LOOK: Duration = Duration::from_millis(100);
/// A command that this run has not taken after this long was delivered to an earlier run.
const STRANDED: Duration = Duration::from_secs(3);
/// After this long without an end, management is asked again.
const CATCH_UP: Duration = Duration::from_secs(30);

/// What has to arrive.
#[derive(Debug, Clone, Copy)]
pub(super) struct Upto {
    /// The newest command for this node.
    pub(super) sequence: u64,
    /// The store that it is in.
    pub(super) stream: Option<StreamId>,
}

/// What is done when everything has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The journal is complete.
    Complete,
    /// The journal is complete, and users of whom no command came are ghosts: they are removed.
    Sweep,
}

/// Returns when the journal is complete. `connections` changes when the bus was connected anew.
pub(super) async fn catch_up(
    shared: &Shared,
    upto: Upto,
    ending: Ending,
    connections: &watch::Receiver<u64>,
) -> Result<(), SyncError> {
    let (deadline, mut stranded_since) = (Instant::now() + CATCH_UP, None);
    loop {
        match arrival(shared, upto.sequence, ending).await? {
            Arrival::Everything => break,
            Arrival::NotYet => stranded_since = None,
            Arrival::Stranded => {
                if stranded_since.get_or_insert_with(Instant::now).elapsed() > STRANDED {
                    // Without a sequence management sends everything again, at once and not after the ack wait.
                    shared.journal.write(|records| records.restart_sequence()).await?;
                    return Err(SyncError::Stranded);
                }
            }
        }
        // The bus may have come back with another store: what management promised was about the store before.
        if connections.has_changed().unwrap_or(false) {
            return Err(SyncError::Reconnected);
        }
        if Instant::now() > deadline {
            // What has arrived is kept: the next answer goes on from here.
            begin_stream(&shared.journal, upto.stream).await?;
            return Err(SyncError::Late);
        }
        tokio::time::sleep(LOOK).await;
    }
    if ending == Ending::Sweep {
        let ghosts = shared.applier.sweep(|| shared.progress.seen()).await?;
        info!(ghosts = ghosts.len(), "Everything arrived again");
        // What came before management's answer was read is forgotten as a sequence, but is in the journal.
        let followed = shared.progress.highest().max(upto.sequence);
        let followed = shared.journal.write(move |records| records.advance_sequence(followed));
        followed.await?;
    }
    follow_stream(&shared.journal, upto.stream).await?;
    if !shared.readiness.is_complete() {
        shared.journal.write(|records| records.set_complete()).await?;
    }
    if !shared.readiness.is_caught_up() {
        info!(upto_sequence = upto.sequence, "In sync with management");
        shared.readiness.caught_up();
        shared.node.wakes.allow_list.wake();
        shared.node.wakes.heartbeat.wake();
    }
    Ok(())
}

/// Notes the store of a journal that follows none yet: from here on its sequence counts from the beginning of this store.
pub(super) async fn begin_stream(journal: &Journal, stream: Option<StreamId>) -> Result<(), JournalError> {
    let followed = journal.read(|records| records.snapshot()).await?.stream;
    match (followed, stream) {
        (None, Some(stream)) => journal.write(move |records| records.set_stream(stream)).await,
        (Some(_), _) | (None, None) => Ok(()),
    }
}

/// Notes which store of the bus the journal's sequence counts in.
async fn follow_stream(journal: &Journal, stream: Option<StreamId>) -> Result<(), JournalError> {
    let followed = journal.read(|records| records.snapshot()).await?.stream;
    match stream {
        Some(stream) if followed != Some(stream) => journal.write(move |records| records.set_stream(stream)).await,
        Some(_) | None => Ok(()),
    }
}

/// Whether every command up to this sequence is journaled.
async fn arrival(shared: &Shared, upto_sequence: u64, ending: Ending) -> Result<Arrival, SyncError> {
    let followed = shared.journal.read(|records| records.snapshot()).await?.last_sequence >= upto_sequence;
    if ending == Ending::Complete && shared.readiness.is_caught_up() && followed {
        return Ok(Arrival::Everything);
    }
    let name = shared.node.id.as_str();
    let consumer: Result<PullConsumer, _> = shared.jetstream.get_consumer_from_stream(name, COMMANDS).await;
    match consumer {
        Ok(consumer) => {
            let info = consumer.cached_info();
            let flow = Flow {
                to_come: info.num_pending,
                given: info.num_ack_pending,
                unsettled: shared.progress.unsettled(),
                followed: match ending {
                    Ending::Sweep => shared
                        .progress
                        .has_all_again(upto_sequence, info.delivered.consumer_sequence),
                    Ending::Complete => followed,
                },
            };
            Ok(flow.arrival())
        }
        // Management makes it again when it is asked.
        Err(error) if is_missing(&error) => Err(SyncError::NoConsumer),
        Err(error) => {
            debug!(error = %error, "The node's consumer cannot be seen");
            Ok(Arrival::NotYet)
        }
    }
}

fn is_missing(error: &ConsumerError) -> bool {
    match error.kind() {
        ConsumerErrorKind::JetStream(error) => error.error_code() == ErrorCode::CONSUMER_NOT_FOUND,
        ConsumerErrorKind::TimedOut
        | ConsumerErrorKind::Request
        | ConsumerErrorKind::InvalidConsumerType
        | ConsumerErrorKind::InvalidName
        | ConsumerErrorKind::Other => false,
    }
}
