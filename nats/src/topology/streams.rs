//! The streams and consumers, once they exist: reset, purge, query.

use std::{error::Error, time::Duration};

use async_nats::{
    Client,
    jetstream::{
        self,
        consumer::{self, AckPolicy, PullConsumer},
        stream::{self, Stream},
    },
};
use futures_util::TryStreamExt;

use super::{
    ensure::{consumer_is_absent, ensure_consumer, ensure_reports, ensure_stream, stream_is_absent},
    error::TopologyError,
    look::{look_at_consumer, look_at_stream},
    names::{COMMANDS, EVENTS_CONSUMER, node_of_reports_stream, reports_stream},
    options::TopologyOptions,
    shapes,
    upgrade::divide_shared_reports,
    version::check_version,
};
use crate::{
    commands::Command,
    envelope::Envelope,
    headers::revision_of,
    ids::{NodeId, Revision, UserKey},
    subjects,
    sync::StreamId,
};

/// Messages asked for at once when commands are listed.
const LISTING_BATCH: usize = 10_000;
/// How long the next one may take.
const LISTING_PATIENCE: Duration = Duration::from_secs(2);
/// A listing that nobody reads ends after this time.
const LISTING_ENDS_AFTER: Duration = Duration::from_secs(30);

/// One command in the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldCommand {
    /// Its subject.
    pub subject: String,
    /// Its user; `None` where the subject has no valid user key.
    pub user: Option<UserKey>,
    /// Its revision, 0 when it does not say.
    pub revision: Revision,
}

impl HeldCommand {
    fn of(message: &async_nats::Message) -> Self {
        Self {
            user: message.subject.rsplit('.').next().and_then(|token| token.parse().ok()),
            revision: revision_of(message.headers.as_ref()),
            subject: message.subject.to_string(),
        }
    }
}

/// The streams, ready to use.
#[derive(Debug, Clone)]
pub struct Topology {
    context: jetstream::Context,
    commands: Stream,
    options: TopologyOptions,
}

impl Topology {
    /// Creates what is missing and checks what is there.
    pub async fn ensure(client: &Client, options: TopologyOptions) -> Result<Self, TopologyError> {
        check_version(&client.server_info().version)?;
        let context = context_of(client);
        let commands = ensure_stream(&context, shapes::commands(&options)).await?;
        divide_shared_reports(&context, &options).await?;
        Ok(Self {
            context,
            commands,
            options,
        })
    }

    /// Takes what is there, for who only looks: makes and changes nothing.
    ///
    /// # Errors
    /// The stream of commands is not there, or is not as it must be.
    pub async fn as_it_is(client: &Client, options: TopologyOptions) -> Result<Self, TopologyError> {
        check_version(&client.server_info().version)?;
        let context = context_of(client);
        let commands = look_at_stream(&context, &shapes::commands(&options)).await?;
        Ok(Self {
            context,
            commands,
            options,
        })
    }

    /// Compares what a node needs with what is there. Changes nothing.
    ///
    /// # Errors
    /// Its consumer, its stream of reports or the consumer of that is not there, or is not as it must be.
    pub async fn look_at_node(&self, node: &NodeId) -> Result<(), TopologyError> {
        let wanted = shapes::node_consumer(node, &self.options);
        look_at_consumer(&self.commands, node.as_str(), &wanted).await?;
        let reports = look_at_stream(&self.context, &shapes::reports(node, &self.options)).await?;
        look_at_consumer(&reports, EVENTS_CONSUMER, &shapes::reports_consumer()).await
    }

    /// How the streams are kept.
    pub fn options(&self) -> &TopologyOptions {
        &self.options
    }

    /// The JetStream context of this connection.
    pub fn context(&self) -> &jetstream::Context {
        &self.context
    }

    /// The stream of commands.
    pub fn commands(&self) -> &Stream {
        &self.commands
    }

    /// Makes what a node needs: the consumer of its commands, and the stream of its reports.
    pub async fn ensure_node(&self, node: &NodeId) -> Result<(), TopologyError> {
        let wanted = shapes::node_consumer(node, &self.options);
        ensure_consumer(&self.commands, node.as_str(), wanted).await?;
        self.ensure_reports(node).await.map(drop)
    }

    /// The consumer of a node's reports, its acks and events.
    pub async fn ensure_reports(&self, node: &NodeId) -> Result<PullConsumer, TopologyError> {
        ensure_reports(&self.context, node, &self.options).await
    }

    /// The nodes that have a stream of reports, registered or not.
    pub async fn nodes_with_reports(&self) -> Result<Vec<NodeId>, TopologyError> {
        let names: Vec<String> = self
            .context
            .stream_names()
            .try_collect()
            .await
            .map_err(TopologyError::request("listing the streams"))?;
        Ok(names.iter().filter_map(|name| node_of_reports_stream(name)).collect())
    }

    /// Deletes the stream of a node's reports if management has recorded all of them, and says whether it is gone. Repeating it changes
    /// nothing.
    pub async fn forget_recorded_reports(&self, node: &NodeId) -> Result<bool, TopologyError> {
        let name = reports_stream(node);
        let failed = || TopologyError::request(format!("deleting the stream {name}"));
        let stream = match self.context.get_stream(&name).await {
            Ok(stream) => stream,
            Err(error) if stream_is_absent(&error) => return Ok(true),
            Err(error) => return Err(failed()(error)),
        };
        if stream.cached_info().state.messages > 0 {
            return Ok(false);
        }
        self.context.delete_stream(&name).await.map(|_| true).map_err(failed())
    }

    /// Resets a node's consumer, so that it delivers every command again from the start.
    pub async fn rewind_node_consumer(&self, node: &NodeId) -> Result<(), TopologyError> {
        self.commands
            .reset_consumer(node.as_str(), Some(1))
            .await
            .map(drop)
            .map_err(TopologyError::request(format!("rewinding the consumer of {node}")))
    }

    /// Has commands that were lost on their way to a node (its agent or a connection died) delivered again at once, without
    /// waiting for the ack timeout. They are lost when more deliveries are unsettled than the node says it holds (`held`). A
    /// command that is delivered twice changes nothing.
    pub async fn give_lost_again(&self, node: &NodeId, held: u64) -> Result<(), TopologyError> {
        give_again(&self.commands, node.as_str(), held).await
    }

    /// Has the reports of a node that were delivered to a dead management replica delivered again at once, without waiting for the ack
    /// timeout. Other replicas get their unsettled reports a second time, which changes nothing.
    pub async fn give_lost_reports_again(&self, node: &NodeId) -> Result<(), TopologyError> {
        let name = reports_stream(node);
        let stream = self.context.get_stream_no_info(&name).await;
        let stream = stream.map_err(TopologyError::request(format!("reading the stream {name}")))?;
        give_again(&stream, EVENTS_CONSUMER, 0).await
    }

    /// Deletes the consumer and the commands of a deregistered node. Its reports stay until management recorded them, see
    /// [`Self::forget_recorded_reports`]. Repeating it changes nothing.
    pub async fn remove_node(&self, node: &NodeId) -> Result<(), TopologyError> {
        self.forget_consumer(node).await?;
        self.commands
            .purge()
            .filter(subjects::commands_of(node))
            .await
            .map(drop)
            .map_err(TopologyError::request(format!("purging the commands of {node}")))
    }

    /// Deletes a node's consumer, and with it the pulls that wait there: they outlive the connection on which they came. Its commands stay; a
    /// new consumer delivers them all. Repeating it changes nothing.
    pub async fn forget_consumer(&self, node: &NodeId) -> Result<(), TopologyError> {
        match self.commands.delete_consumer(node.as_str()).await {
            Ok(_) => Ok(()),
            Err(error) if consumer_is_absent(&error) => Ok(()),
            Err(error) => Err(TopologyError::request(format!("deleting the consumer of {node}"))(
                error,
            )),
        }
    }

    /// The identity of the stream of commands; it changes when the server lost the stream and it was created again.
    pub async fn commands_store(&self) -> Result<StreamId, TopologyError> {
        let info = self
            .commands
            .get_info()
            .await
            .map_err(TopologyError::request(format!("reading the stream {COMMANDS}")))?;
        let micros = info.created.unix_timestamp_nanos() / 1_000;
        Ok(StreamId(i64::try_from(micros).unwrap_or_default()))
    }

    /// The commands that the stream holds for a node: each subject once, read without its payload.
    pub async fn commands_held(&self, node: &NodeId) -> Result<Vec<HeldCommand>, TopologyError> {
        let mut held = Vec::new();
        let listing = Listing {
            of: format!("the commands of {node}"),
            subjects: subjects::commands_of(node),
            headers_only: true,
        };
        self.list(listing, |message| held.push(HeldCommand::of(message)))
            .await?;
        Ok(held)
    }

    /// Reads every command that the stream holds, of all nodes, whether they are registered or not: each subject once, as it comes. Of one that cannot
    /// be decoded comes what its subject and its header say.
    pub async fn read_commands(&self, mut each: impl FnMut(Result<Command, HeldCommand>)) -> Result<(), TopologyError> {
        let listing = Listing {
            of: "all commands".to_owned(),
            subjects: subjects::ALL_COMMANDS.to_owned(),
            headers_only: false,
        };
        let take = |message: &async_nats::Message| match Envelope::<Command>::decode(&message.payload) {
            Ok(envelope) => each(Ok(envelope.body)),
            Err(_) if subjects::is_proof(&message.subject) => {}
            Err(_unclear) => each(Err(HeldCommand::of(message))),
        };
        self.list(listing, take).await
    }

    /// Reads a part of the stream of commands from its beginning.
    async fn list(&self, listing: Listing, each: impl FnMut(&async_nats::Message)) -> Result<(), TopologyError> {
        let Listing {
            of,
            subjects,
            headers_only,
        } = listing;
        let failed = || format!("listing {of}");
        let config = consumer::pull::Config {
            filter_subject: subjects,
            headers_only,
            ack_policy: AckPolicy::None,
            memory_storage: true,
            inactive_threshold: LISTING_ENDS_AFTER,
            ..consumer::pull::Config::default()
        };
        let created = self.commands.create_consumer(config).await;
        let mut listing = created.map_err(TopologyError::request(failed()))?;
        let listed = list(&mut listing, each).await;
        // It would end by itself.
        let _deleted = self.commands.delete_consumer(&listing.cached_info().name).await;
        listed.map_err(|source| TopologyError::request(failed())(source))
    }

    /// Removes the command of a subject.
    pub async fn forget_command(&self, subject: &str) -> Result<(), TopologyError> {
        let purged = self.commands.purge().filter(subject).await;
        purged
            .map(drop)
            .map_err(TopologyError::request(format!("purging {subject}")))
    }

    /// Stream sequence of the newest command for a node, 0 when there is none.
    pub async fn newest_command(&self, node: &NodeId) -> Result<u64, TopologyError> {
        let found = self
            .commands
            .get_last_raw_message_by_subject(&subjects::commands_of(node))
            .await;
        match found {
            Ok(message) => Ok(message.sequence),
            Err(error) if error.kind() == stream::LastRawMessageErrorKind::NoMessageFound => Ok(0),
            Err(error) => Err(TopologyError::request(format!("finding the newest command of {node}"))(
                error,
            )),
        }
    }
}

fn context_of(client: &Client) -> jetstream::Context {
    jetstream::context::ContextBuilder::new()
        .timeout(Duration::from_secs(5))
        .ack_timeout(Duration::from_secs(5))
        .max_ack_inflight(512)
        .build(client.clone())
}

/// A part of the stream of commands.
struct Listing {
    /// What it is, for people.
    of: String,
    subjects: String,
    headers_only: bool,
}

/// Everything that a new consumer gives. A message that is deleted meanwhile does not come.
async fn list(
    listing: &mut PullConsumer,
    mut each: impl FnMut(&async_nats::Message),
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut left = listing.cached_info().num_pending;
    if left == 0 {
        return Ok(());
    }
    let mut messages = listing
        .stream()
        .max_messages_per_batch(LISTING_BATCH)
        .messages()
        .await?;
    while left > 0 {
        match tokio::time::timeout(LISTING_PATIENCE, messages.try_next()).await {
            Ok(next) => {
                // What did not come must not count as absent.
                let Some(message) = next? else {
                    return Err("the listing ended early".into());
                };
                left = message.info()?.pending;
                each(&message);
            }
            Err(late) => {
                left = listing.info().await?.num_pending;
                if left > 0 {
                    return Err(late.into());
                }
            }
        }
    }
    Ok(())
}

/// Resets the consumer to the oldest unsettled message if more messages are unsettled than `held`.
async fn give_again<Info>(stream: &Stream<Info>, consumer: &str, held: u64) -> Result<(), TopologyError> {
    let action = format!("giving {consumer} again what it lost");
    let info = stream
        .consumer_info(consumer)
        .await
        .map_err(TopologyError::request(action.clone()))?;
    if info.num_ack_pending as u64 <= held {
        return Ok(());
    }
    let from = info.ack_floor.stream_sequence + 1;
    stream
        .reset_consumer(consumer, Some(from))
        .await
        .map(drop)
        .map_err(TopologyError::request(action))
}
