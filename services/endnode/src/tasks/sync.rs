//! The handshake: at each connection, every half minute and whenever management asks for it, the node says what it holds, and
//! management says whether that is all.

use std::time::Duration;

use async_nats::{
    Client,
    connection::State,
    jetstream::{
        self, ErrorCode,
        consumer::PullConsumer,
        stream::{ConsumerError, ConsumerErrorKind},
    },
};
use chrono::Utc;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use vpnmanager_nats::{
    envelope::{DecodeError, Envelope},
    subjects,
    sync::{StreamId, SyncAnswer, SyncRequest},
    topology::COMMANDS,
};
use vpnmanager_runtime::backoff::jittered;

use super::{progress::Progress, serving::Readiness};
use crate::{
    apply::{Applier, ApplyError},
    journal::{Journal, JournalError},
    node::Node,
};

/// Drift is found and repaired within a minute.
const PERIOD: Duration = Duration::from_secs(30);
/// Between two questions while management publishes everything again.
const PREPARING: Duration = Duration::from_millis(250);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
const SHORTEST_RETRY: Duration = Duration::from_millis(250);
const LONGEST_RETRY: Duration = Duration::from_secs(10);
/// How often a node that is catching up looks whether it has everything.
const LOOK: Duration = Duration::from_millis(100);
/// After this long a command that nobody of this run has taken is not merely on its way.
const STRANDED: Duration = Duration::from_secs(3);
/// A catch-up that takes longer than this is asked about again.
const CATCH_UP: Duration = Duration::from_secs(30);

/// What the task needs.
#[derive(Debug, Clone)]
pub struct Sync {
    /// This node.
    pub node: Node,
    /// What is held.
    pub journal: Journal,
    /// Removes ghosts.
    pub applier: Applier,
    /// How far the commands are.
    pub progress: Progress,
    /// What follows from the answer.
    pub readiness: Readiness,
    /// The way to management.
    pub bus: Client,
    /// The JetStream of this node, to see what is still to come.
    pub context: jetstream::Context,
}

/// The handshake did not come to an end.
#[derive(Debug, thiserror::Error)]
enum SyncError {
    #[error("management did not answer")]
    Request(#[from] async_nats::RequestError),
    #[error("management's answer cannot be read")]
    Answer(#[from] DecodeError),
    #[error("the journal failed")]
    Journal(#[from] JournalError),
    #[error("removing users that management does not know failed")]
    Sweep(#[from] ApplyError),
    #[error("the snapshot did not arrive in time")]
    Late,
    #[error("the bus was connected anew before the snapshot arrived")]
    Reconnected,
    #[error("the bus has no consumer for this node")]
    NoConsumer,
    #[error("an earlier run took commands with it, asking for everything again")]
    Stranded,
}

/// What has to arrive.
#[derive(Debug, Clone, Copy)]
struct Upto {
    /// The newest command for this node.
    sequence: u64,
    /// The store that it is in.
    stream: Option<StreamId>,
}

/// What is done when everything has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// The journal is complete.
    Complete,
    /// The same, and whoever did not come is a ghost.
    Sweep,
}

/// Runs until stopped.
pub async fn run(sync: Sync, mut connections: watch::Receiver<u64>, stop: CancellationToken) -> anyhow::Result<()> {
    let mut failures = 0_u32;
    while !stop.is_cancelled() {
        connections.borrow_and_update();
        // Without a connection there is nobody to ask, and a question that waits in the client would be stale when it is sent.
        if sync.bus.connection_state() != State::Connected {
            tokio::select! {
                changed = connections.changed() => changed?,
                () = tokio::time::sleep(SHORTEST_RETRY) => {}
                () = stop.cancelled() => {}
            }
            continue;
        }
        let outcome = tokio::select! {
            outcome = sync.shake_hands(&connections) => outcome,
            () = stop.cancelled() => break,
        };
        let pause = match outcome {
            Ok(pause) => {
                failures = 0;
                jittered(pause)
            }
            Err(error) => {
                let source = std::error::Error::source(&error)
                    .map(ToString::to_string)
                    .unwrap_or_default();
                if failures == 0 {
                    warn!(error = %error, source, "Not in sync with management, asking again");
                } else {
                    debug!(error = %error, source, failures, "Not in sync with management yet");
                }
                failures = failures.saturating_add(1);
                jittered(LONGEST_RETRY.min(SHORTEST_RETRY * 2_u32.pow(failures.min(8))))
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = sync.node.wakes.sync.woken(), if failures == 0 => {}
            () = sync.node.wakes.prompt.woken() => failures = 0,
            changed = connections.changed() => changed?,
            () = stop.cancelled() => {}
        }
    }
    Ok(())
}

impl Sync {
    /// One handshake to its end. Returns when to have the next one.
    async fn shake_hands(&self, connections: &watch::Receiver<u64>) -> Result<Duration, SyncError> {
        // Whatever comes from here on may already be part of the answer.
        self.progress.restart();
        match self.ask().await? {
            SyncAnswer::Ok { upto_sequence, stream } => {
                self.accepted().await?;
                self.begins(stream).await?;
                let upto = Upto {
                    sequence: upto_sequence,
                    stream,
                };
                self.catch_up(upto, Ending::Complete, connections).await?;
                Ok(PERIOD)
            }
            SyncAnswer::Preparing { reason } => {
                debug!(reason, "Management prepares to send everything again");
                self.accepted().await?;
                Ok(PREPARING)
            }
            SyncAnswer::Resync {
                upto_sequence,
                stream,
                reason,
            } => {
                warn!(reason, upto_sequence, "Management sends everything again");
                self.accepted().await?;
                let followed = self.journal.read(|records| records.snapshot()).await?.stream;
                if followed.is_some() && followed != stream {
                    // The flow was of a consumer that is gone, which the client finds out by silence alone.
                    self.node.wakes.reopen.wake();
                }
                self.journal.write(|records| records.restart_sequence()).await?;
                let upto = Upto {
                    sequence: upto_sequence,
                    stream,
                };
                self.catch_up(upto, Ending::Sweep, connections).await?;
                Ok(PERIOD)
            }
            SyncAnswer::Refused { reason } => {
                self.readiness.retire(&self.journal, &reason).await?;
                Ok(LONGEST_RETRY)
            }
        }
    }

    async fn ask(&self) -> Result<SyncAnswer, SyncError> {
        // Before the look: what is applied during it may not be seen.
        let at = Utc::now();
        let (snapshot, tally, queued_intents) = self
            .journal
            .read(|records| Ok((records.snapshot()?, records.tally()?, records.count_queued_intents()?)))
            .await?;
        let question = Envelope::new(SyncRequest {
            node: self.node.id.clone(),
            instance: self.node.instance,
            // What a new journal took before its first answer began somewhere in the middle, and a snapshot that was cut short may
            // lack anything: that is nothing to build on.
            last_sequence: snapshot.stream.map_or(0, |_| snapshot.last_sequence),
            users: tally.users,
            digest: tally.digest,
            complete: snapshot.complete,
            stream: snapshot.stream,
            queued_intents,
            unsettled: self.progress.unsettled() as u64,
            at,
        });
        let request = async_nats::Request::new()
            .payload(question.encode())
            .timeout(Some(REQUEST_TIMEOUT));
        let reply = self.bus.send_request(subjects::sync(&self.node.id), request).await?;
        Ok(Envelope::<SyncAnswer>::decode(&reply.payload)?.body)
    }

    /// A new journal has been answered: from here on its sequence counts from the beginning of this store.
    async fn begins(&self, stream: Option<StreamId>) -> Result<(), JournalError> {
        let known = self.journal.read(|records| records.snapshot()).await?.stream;
        match (known, stream) {
            (None, Some(stream)) => self.journal.write(move |records| records.set_stream(stream)).await,
            (Some(_), _) | (None, None) => Ok(()),
        }
    }

    /// Notes which store of the bus the journal's sequence counts in.
    async fn followed(&self, stream: Option<StreamId>) -> Result<(), JournalError> {
        let known = self.journal.read(|records| records.snapshot()).await?.stream;
        match stream {
            Some(stream) if known != Some(stream) => {
                self.journal.write(move |records| records.set_stream(stream)).await
            }
            Some(_) | None => Ok(()),
        }
    }

    async fn accepted(&self) -> Result<(), JournalError> {
        self.node.wakes.intents.wake();
        self.node.wakes.events.wake();
        if self.readiness.refusal().is_some() {
            self.journal.write(|records| records.set_refused(None)).await?;
            self.readiness.accept();
        }
        Ok(())
    }

    async fn catch_up(&self, upto: Upto, ending: Ending, connections: &watch::Receiver<u64>) -> Result<(), SyncError> {
        let (deadline, mut stranded_since) = (Instant::now() + CATCH_UP, None);
        loop {
            match self.arrived(upto.sequence, ending).await? {
                Arrived::Everything => break,
                Arrived::NotYet => stranded_since = None,
                Arrived::Stranded => {
                    if stranded_since.get_or_insert_with(Instant::now).elapsed() > STRANDED {
                        // Without a sequence management sends everything again, at once and not after the ack wait.
                        self.journal.write(|records| records.restart_sequence()).await?;
                        return Err(SyncError::Stranded);
                    }
                }
            }
            // The bus may have come back with another store: what was promised of the one before says nothing any more.
            if connections.has_changed().unwrap_or(false) {
                return Err(SyncError::Reconnected);
            }
            if Instant::now() > deadline {
                // So much is not sent twice: the next answer goes on from here.
                self.begins(upto.stream).await?;
                return Err(SyncError::Late);
            }
            tokio::time::sleep(LOOK).await;
        }
        if ending == Ending::Sweep {
            let ghosts = self.applier.sweep(|| self.progress.seen()).await?;
            info!(ghosts = ghosts.len(), "Everything arrived again");
        }
        self.followed(upto.stream).await?;
        if !self.readiness.is_complete() {
            self.journal.write(|records| records.set_complete()).await?;
        }
        if !self.readiness.is_caught_up() {
            info!(upto_sequence = upto.sequence, "In sync with management");
            self.readiness.caught_up();
            self.node.wakes.allow_list.wake();
        }
        Ok(())
    }

    /// Whether every command up to this sequence is journaled. A command that an earlier run took and never settled comes
    /// again late, so the sequence alone is no proof: the server must hold nothing that this run has not taken.
    async fn arrived(&self, upto_sequence: u64, ending: Ending) -> Result<Arrived, SyncError> {
        let followed = match ending {
            Ending::Sweep => self.progress.highest(),
            Ending::Complete => self.journal.read(|records| records.snapshot()).await?.last_sequence,
        };
        if ending == Ending::Complete && self.readiness.is_caught_up() && followed >= upto_sequence {
            return Ok(Arrived::Everything);
        }
        let name = self.node.id.as_str();
        let consumer: Result<PullConsumer, _> = self.context.get_consumer_from_stream(name, COMMANDS).await;
        match consumer {
            Ok(consumer) => Ok(judge(&consumer, self.progress.unsettled(), followed >= upto_sequence)),
            // Management makes it again when it is asked.
            Err(error) if is_missing(&error) => Err(SyncError::NoConsumer),
            Err(error) => {
                debug!(error = %error, "The node's consumer cannot be seen");
                Ok(Arrived::NotYet)
            }
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

/// How far a snapshot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arrived {
    /// All of it is journaled.
    Everything,
    /// Some is on its way.
    NotYet,
    /// What is missing was given to an earlier run, and comes again only after the ack wait.
    Stranded,
}

fn judge(consumer: &PullConsumer, unsettled: usize, followed: bool) -> Arrived {
    let info = consumer.cached_info();
    let (to_come, given) = (info.num_pending > 0, info.num_ack_pending > unsettled);
    match (to_come, given) {
        (true, _) => Arrived::NotYet,
        (false, true) => Arrived::Stranded,
        (false, false) if followed => Arrived::Everything,
        (false, false) => Arrived::NotYet,
    }
}
