//! Commands: taken from the node's own consumer, as many at once as are there, applied in one commit, acked, settled.

use std::{sync::Arc, time::Duration};

use async_nats::jetstream::{self, consumer::PullConsumer};
use chrono::Utc;
use futures_util::{FutureExt, Stream, StreamExt};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};
use vpnmanager_nats::{
    acks::Outcome,
    commands::Command,
    delivery::Delivery,
    envelope::{DecodeError, Envelope},
    events::EventKind,
    topology::COMMANDS,
};
use vpnmanager_runtime::{backoff::jittered, tasks::Tasks};

use super::{
    acks::{Acks, Answered},
    issue::{IssueJob, IssueQueue},
    progress::Progress,
    serving::Readiness,
};
use crate::{
    apply::{Applied, Applier},
    journal::Journal,
    node::Node,
};

/// Commands taken at once.
const BATCH: usize = 100;
/// Batches whose acks are on their way at the same time.
const ANSWERING: usize = 8;
/// The server shows itself this often while there is nothing to do; twice as long without a sign means that the flow is broken.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);
const REOPEN_PAUSE: Duration = Duration::from_secs(1);

/// What the task needs.
#[derive(Debug, Clone)]
pub struct Commands {
    /// This node.
    pub node: Node,
    /// The journal, for what cannot be read.
    pub journal: Journal,
    /// Applies.
    pub applier: Applier,
    /// Answers.
    pub acks: Acks,
    /// Takes the profiles that are to be made.
    pub issue: IssueQueue,
    /// Whether this node may take commands: of two with one identity only one may.
    pub readiness: Readiness,
    /// Counts.
    pub progress: Progress,
    /// The JetStream of this node.
    pub context: jetstream::Context,
    /// Carries the answers of each batch.
    pub tasks: Tasks,
}

type Message = Result<jetstream::Message, jetstream::consumer::pull::MessagesError>;

/// Runs until stopped. Whatever ends the flow is asked about at management, and the consumer is opened again.
pub async fn run(commands: Commands, stop: CancellationToken) -> anyhow::Result<()> {
    let answering = Arc::new(Semaphore::new(ANSWERING));
    while !stop.is_cancelled() {
        if commands.readiness.refusal().is_some() {
            tokio::select! {
                () = commands.readiness.accepted() => {}
                () = stop.cancelled() => {}
            }
            continue;
        }
        match open(&commands).await {
            Ok(messages) => commands.follow(messages, &answering, &stop).await,
            Err(error) => {
                info!(error = format!("{error:#}"), "The node's commands cannot be read yet");
                commands.node.wakes.sync.wake();
            }
        }
        tokio::select! {
            () = tokio::time::sleep(jittered(REOPEN_PAUSE)) => {}
            () = commands.node.wakes.reopen.woken() => {}
            () = stop.cancelled() => {}
        }
    }
    Ok(())
}

async fn open(commands: &Commands) -> anyhow::Result<jetstream::consumer::pull::Stream> {
    let consumer: PullConsumer = commands
        .context
        .get_consumer_from_stream(commands.node.id.as_str(), COMMANDS)
        .await?;
    let stream = consumer
        .stream()
        .expires(Duration::from_secs(60))
        .heartbeat(SIGN_OF_LIFE)
        .max_messages_per_batch(BATCH)
        .messages()
        .await?;
    debug!("Following the node's commands");
    Ok(stream)
}

impl Commands {
    async fn follow(
        &self,
        messages: impl Stream<Item = Message> + Unpin,
        answering: &Arc<Semaphore>,
        stop: &CancellationToken,
    ) {
        let mut batches = messages.ready_chunks(BATCH);
        let mut interrupted = false;
        while !interrupted {
            let batch = tokio::select! {
                batch = batches.next() => batch,
                () = self.readiness.refused() => break,
                () = self.node.wakes.reopen.woken() => {
                    // Kept for the pause that follows: there is nothing to wait for.
                    self.node.wakes.reopen.wake();
                    break;
                }
                () = stop.cancelled() => break,
            };
            let Some(batch) = batch else {
                warn!("The flow of commands ended, opening it again");
                break;
            };
            let mut deliveries = Vec::with_capacity(batch.len());
            for message in batch {
                match message {
                    Ok(message) => deliveries.push(Delivery::from(message)),
                    // The client does not always pull again by itself after one: the flow is opened anew.
                    Err(error) => {
                        interrupted = true;
                        warn!(error = %error, "The flow of commands was interrupted, opening it again");
                    }
                }
            }
            if !deliveries.is_empty() {
                self.take(deliveries, answering).await;
            }
        }
        self.hand_back(batches).await;
        if !stop.is_cancelled() {
            self.node.wakes.sync.wake();
        }
    }

    /// What the client has fetched and nobody looked at is given to whoever pulls next at once, and not after the ack wait.
    async fn hand_back(&self, mut batches: impl Stream<Item = Vec<Message>> + Unpin) {
        // A flow that is broken may have nothing but errors left, and never an end.
        let mut broken = false;
        while !broken && let Some(Some(batch)) = batches.next().now_or_never() {
            broken = batch.iter().any(Result::is_err);
            for message in batch.into_iter().flatten() {
                self.acks.hand_back(message.into(), Duration::ZERO).await;
            }
        }
    }

    async fn take(&self, deliveries: Vec<Delivery>, answering: &Arc<Semaphore>) {
        self.progress.taken(deliveries.iter().map(Delivery::sequence));
        let mut readable = Vec::with_capacity(deliveries.len());
        for delivery in deliveries {
            match delivery.command(&self.node.id) {
                Ok(envelope) => readable.push((delivery, envelope)),
                Err(error) => self.set_aside(delivery, &error).await,
            }
        }
        if readable.is_empty() {
            return;
        }
        let commands: Vec<Command> = readable.iter().map(|(_, envelope)| envelope.body.clone()).collect();
        let sequence = readable
            .iter()
            .map(|(delivery, _)| delivery.sequence())
            .max()
            .unwrap_or(0);
        // Before the journal holds them: a sweep that comes right after must know them.
        self.progress.coming(commands.iter().map(Command::user_key));
        match self.applier.apply(commands, sequence).await {
            Ok(handled) => {
                let applied = handled.into_iter().map(|handled| handled.applied).collect();
                let users = readable.iter().map(|(_, envelope)| envelope.body.user_key());
                self.progress.journaled(sequence, users);
                self.answer(readable, applied, answering).await;
            }
            Err(error) => {
                let why = anyhow::Error::from(error);
                error!(
                    error = format!("{why:#}"),
                    commands = readable.len(),
                    "Applying commands failed, they come again"
                );
                let failed = Applied::Answered(Outcome::Failed {
                    error: format!("{why:#}"),
                });
                let applied = vec![failed; readable.len()];
                self.answer(readable, applied, answering).await;
            }
        }
    }

    async fn answer(
        &self,
        readable: Vec<(Delivery, Envelope<Command>)>,
        applied: Vec<Applied>,
        answering: &Arc<Semaphore>,
    ) {
        let mut answered = Vec::with_capacity(readable.len());
        for ((delivery, envelope), applied) in readable.into_iter().zip(applied) {
            match applied {
                Applied::Answered(outcome) => answered.push(Answered {
                    delivery,
                    user_key: envelope.body.user_key(),
                    revision: envelope.body.revision(),
                    traceparent: envelope.traceparent,
                    outcome,
                }),
                Applied::Issuing(order) => {
                    let job = IssueJob {
                        order,
                        delivery: Some(delivery),
                        traceparent: envelope.traceparent,
                    };
                    self.issue.push(job).await;
                }
            }
        }
        if answered.is_empty() {
            return;
        }
        // Never closed, and a full house only means to wait for a round trip.
        let Ok(permit) = Arc::clone(answering).acquire_owned().await else {
            return;
        };
        let acks = self.acks.clone();
        self.tasks.spawn_job("acks", async move {
            acks.answer(answered).await;
            drop(permit);
            Ok(())
        });
    }

    /// A command that cannot be read is recorded for the audit trail before it is given up, and never acked quietly.
    async fn set_aside(&self, delivery: Delivery, why: &DecodeError) {
        let source = std::error::Error::source(why)
            .map(ToString::to_string)
            .unwrap_or_default();
        error!(command.subject = delivery.subject(), command.sequence = delivery.sequence(), error = %why, source, "A command cannot be read");
        let event = self.node.event(EventKind::CommandUndecodable {
            subject: delivery.subject().to_owned(),
            sequence: delivery.sequence(),
            error: if source.is_empty() {
                why.to_string()
            } else {
                format!("{why}: {source}")
            },
        });
        let sequence = delivery.sequence();
        let recorded = self.journal.write(move |records| {
            records.queue_event(&event)?;
            records.advance_sequence(sequence)
        });
        match recorded.await {
            Ok(()) => {
                self.node.wakes.events.wake();
                self.progress.journaled(sequence, None);
                self.progress.settled(sequence);
                if let Err(error) = delivery.terminate().await {
                    debug!(error = %error, "A command could not be terminated; it comes again");
                }
            }
            Err(error) => {
                error!(error = %error, at = %Utc::now(), "An unreadable command could not be recorded; it comes again");
                self.acks.retry(delivery).await;
            }
        }
    }
}
