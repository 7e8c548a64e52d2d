//! Commands: pulled from the node's own consumer, up to 250 at once, applied in one commit, acked, settled.

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, Instant},
};

use async_nats::jetstream::{self, consumer::PullConsumer};
use futures_util::{FutureExt, Stream, StreamExt};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};
use vpnmanager_nats::{
    acks::Outcome, commands::Command, delivery::Delivery, envelope::Envelope, events::EventKind, topology::COMMANDS,
};
use vpnmanager_runtime::{
    backoff::jittered,
    contain::contain,
    error_chain::chain,
    tasks::Tasks,
    traces::{Kind, Span},
};

use super::acks::{Acks, Answered, Failure};
use crate::{
    apply::{Applied, History},
    coordination::issue_queue::IssueJob,
    shared::Shared,
};

/// Commands taken at once. What ends access waits for them.
const BATCH: usize = 250;
/// Batches whose acks are on their way at the same time.
const ANSWERING: usize = 8;
/// The server's heartbeat on an idle pull; twice as long without one means that the flow is broken.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);
const REOPEN_PAUSE: Duration = Duration::from_secs(1);
/// A handshake takes milliseconds, and the firewall tens of them.
const TOLD_WITHIN: Duration = Duration::from_secs(2);

type Message = Result<jetstream::Message, jetstream::consumer::pull::MessagesError>;

/// What the task works with.
struct Commands {
    shared: Shared,
    acks: Acks,
    /// Carries the answers of each batch.
    tasks: Tasks,
    answering: Arc<Semaphore>,
}

/// Applies commands until stopped. When the flow ends, management is asked why, and the consumer is opened again.
pub async fn run(shared: Shared, acks: Acks, tasks: Tasks) -> anyhow::Result<()> {
    let stop = tasks.token();
    let commands = Commands {
        shared,
        acks,
        tasks,
        answering: Arc::new(Semaphore::new(ANSWERING)),
    };
    while !stop.is_cancelled() {
        if commands.shared.readiness.refusal().is_some() {
            tokio::select! {
                () = commands.shared.readiness.accepted() => {}
                () = stop.cancelled() => {}
            }
            continue;
        }
        match commands.open().await {
            Ok(messages) => commands.follow(messages, &stop).await,
            Err(error) => {
                info!(error = format!("{error:#}"), "The node's consumer cannot be opened yet");
                commands.shared.node.wakes.sync.wake();
            }
        }
        tokio::select! {
            () = tokio::time::sleep(jittered(REOPEN_PAUSE)) => {}
            () = commands.shared.node.wakes.reopen.woken() => {}
            () = stop.cancelled() => {}
        }
    }
    Ok(())
}

impl Commands {
    async fn open(&self) -> anyhow::Result<jetstream::consumer::pull::Stream> {
        let name = self.shared.node.id.as_str();
        let consumer: PullConsumer = self.shared.jetstream.get_consumer_from_stream(name, COMMANDS).await?;
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

    async fn follow(&self, messages: impl Stream<Item = Message> + Unpin, stop: &CancellationToken) {
        let mut batches = messages.ready_chunks(BATCH);
        let mut interrupted = false;
        while !interrupted {
            let batch = tokio::select! {
                batch = batches.next() => batch,
                () = self.shared.readiness.refused() => break,
                () = self.shared.node.wakes.reopen.woken() => {
                    // Woken again, so that the pause that follows ends at once.
                    self.shared.node.wakes.reopen.wake();
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
                    // The client does not always pull again by itself after an error: the consumer is opened again.
                    Err(error) => {
                        interrupted = true;
                        warn!(error = %error, "The flow of commands was interrupted, opening it again");
                    }
                }
            }
            for deliveries in apart(deliveries) {
                self.take(deliveries).await;
            }
        }
        self.hand_back(batches).await;
        if !stop.is_cancelled() {
            self.shared.node.wakes.sync.wake();
        }
    }

    /// Hands back what the client has fetched and nobody looked at, so that the next pull gets it at once and not after the ack wait.
    async fn hand_back(&self, mut batches: impl Stream<Item = Vec<Message>> + Unpin) {
        // A broken flow may give errors for ever and never end.
        let mut broken = false;
        while !broken && let Some(Some(batch)) = batches.next().now_or_never() {
            broken = batch.iter().any(Result::is_err);
            for message in batch.into_iter().flatten() {
                let delivery = Delivery::from(message);
                self.shared.progress.not_taken(delivery.sequence(), delivery.place());
                self.acks.hand_back(delivery, Duration::ZERO).await;
            }
        }
    }

    async fn take(&self, deliveries: Vec<Delivery>) {
        let newest = deliveries.last().map(Delivery::place);
        let came = deliveries
            .iter()
            .map(|delivery| (delivery.sequence(), delivery.place()));
        self.shared.progress.taken(came);
        let (mut recorded, mut open) = (Vec::new(), Vec::new());
        for delivery in deliveries {
            let is_recorded = self.shared.progress.is_recorded(delivery.sequence());
            match delivery.command(&self.shared.node.id) {
                Ok(envelope) if is_recorded => recorded.push((delivery, envelope)),
                Ok(envelope) => open.push((delivery, envelope)),
                Err(error) => self.set_aside(delivery, &error).await,
            }
        }
        self.apply_all(recorded, History::Recorded).await;
        self.apply_all(open, History::Open).await;
        if let Some(newest) = newest {
            self.shared.progress.handled(newest);
        }
    }

    async fn apply_all(&self, mut readable: Vec<(Delivery, Envelope<Command>)>, history: History) {
        let Err(panicked) = contain("applying commands", self.apply(&mut readable, history)).await else {
            return;
        };
        // One of them is to blame: each is applied on its own, and that one is set aside.
        for (delivery, envelope) in readable {
            let mut one = vec![(delivery, envelope)];
            if contain("applying a command", self.apply(&mut one, history))
                .await
                .is_err()
            {
                for (delivery, _) in one {
                    self.set_aside(delivery, &panicked).await;
                }
            }
        }
    }

    /// Applies the commands and answers them: they are taken out of the list once they are applied.
    async fn apply(&self, readable: &mut Vec<(Delivery, Envelope<Command>)>, history: History) {
        if readable.is_empty() {
            return;
        }
        let commands: Vec<Command> = readable.iter().map(|(_, envelope)| envelope.body.clone()).collect();
        let sequence = readable
            .iter()
            .map(|(delivery, _)| delivery.sequence())
            .max()
            .unwrap_or(0);
        self.shared.learn_of_groups(&commands, TOLD_WITHIN).await;
        // Before the journal holds them: a sweep that comes right after must know them.
        self.shared.progress.coming(commands.iter().map(Command::user_key));
        let (began, spans) = (Instant::now(), trace(readable));
        let outcome = self.shared.applier.apply_with(commands, history, sequence).await;
        drop(spans);
        self.shared.figures.work.applied(readable.len(), began.elapsed());
        let readable = std::mem::take(readable);
        match outcome {
            Ok(handled) => {
                let applied = handled.into_iter().map(|handled| handled.applied).collect();
                let users = readable.iter().map(|(_, envelope)| envelope.body.user_key());
                self.shared.progress.journaled(sequence, users);
                self.answer(readable, applied, history).await;
            }
            Err(error) => {
                let error = chain(&error).to_string();
                error!(
                    error,
                    commands = readable.len(),
                    "Applying commands failed; they are delivered again"
                );
                let failed = Applied::Answered(Outcome::Failed { error });
                let applied = vec![failed; readable.len()];
                self.answer(readable, applied, history).await;
            }
        }
    }

    async fn answer(&self, readable: Vec<(Delivery, Envelope<Command>)>, applied: Vec<Applied>, history: History) {
        let mut answered = Vec::with_capacity(readable.len());
        for ((delivery, envelope), applied) in readable.into_iter().zip(applied) {
            match applied {
                Applied::Answered(Outcome::Applied { .. }) if history == History::Recorded => {
                    self.acks.settle_recorded(delivery).await;
                }
                Applied::Answered(outcome) => answered.push(Answered {
                    delivery,
                    user_key: envelope.body.user_key(),
                    revision: envelope.body.revision(),
                    traceparent: envelope.traceparent,
                    outcome,
                    failure: Failure::Passing,
                }),
                Applied::Unheld(error) => answered.push(Answered {
                    delivery,
                    user_key: envelope.body.user_key(),
                    revision: envelope.body.revision(),
                    traceparent: envelope.traceparent,
                    outcome: Outcome::Failed { error },
                    failure: Failure::Lasting,
                }),
                Applied::Issuing(order) => {
                    let job = IssueJob {
                        order,
                        delivery: Some(delivery),
                        traceparent: envelope.traceparent,
                    };
                    self.shared.issue.push(job).await;
                }
            }
        }
        if answered.is_empty() {
            return;
        }
        // The semaphore is never closed; when it is exhausted this waits for one round trip.
        let Ok(permit) = Arc::clone(&self.answering).acquire_owned().await else {
            return;
        };
        let acks = self.acks.clone();
        self.tasks.spawn_job("acks", async move {
            acks.answer(answered).await;
            drop(permit);
            Ok(())
        });
    }

    /// A command that cannot be read, or whose handling panics, is recorded for the audit trail before it is terminated.
    async fn set_aside(&self, delivery: Delivery, why: &(dyn Error + Send + Sync + 'static)) {
        let error = chain(why).to_string();
        error!(
            command.subject = delivery.subject(),
            command.sequence = delivery.sequence(),
            error,
            "A command cannot be read"
        );
        let event = self.shared.node.event(EventKind::CommandUndecodable {
            subject: delivery.subject().to_owned(),
            sequence: delivery.sequence(),
            error,
        });
        let sequence = delivery.sequence();
        let recorded = self.shared.journal.write(move |records| {
            records.queue_event(&event)?;
            records.advance_sequence(sequence)
        });
        match recorded.await {
            Ok(()) => {
                self.shared.node.wakes.events.wake();
                self.shared.progress.journaled(sequence, None);
                self.shared.progress.settled(sequence);
                if let Err(error) = delivery.terminate().await {
                    debug!(error = %error, "A command could not be terminated; it is delivered again");
                }
            }
            Err(error) => {
                error!(error = %chain(&error), "An unreadable command could not be recorded; it is delivered again");
                self.acks.retry(delivery).await;
            }
        }
    }
}

/// Begins the applying of each command that belongs to a trace. Its ack follows from that.
fn trace(readable: &mut [(Delivery, Envelope<Command>)]) -> Vec<Span> {
    let traced = readable.iter_mut().filter_map(|(_, envelope)| {
        let mut span = Span::follow("apply command", Kind::Consumer, envelope.traceparent.as_deref());
        envelope.traceparent = Some(span.traceparent()?.to_string());
        span.note("vpn.node", envelope.body.node().as_str());
        Some(span)
    });
    traced.collect()
}

/// Deliveries from before and after the consumer began anew, each on their own.
fn apart(deliveries: Vec<Delivery>) -> Vec<Vec<Delivery>> {
    let mut parts: Vec<Vec<Delivery>> = Vec::new();
    for delivery in deliveries {
        match parts.last_mut() {
            Some(part) if part.last().is_some_and(|last| last.place() < delivery.place()) => part.push(delivery),
            Some(_) | None => parts.push(vec![delivery]),
        }
    }
    parts
}
