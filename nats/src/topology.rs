//! Streams and consumers: created when absent, compared when present, never deleted because they look wrong.

use std::{collections::HashSet, time::Duration};

use async_nats::{
    Client,
    jetstream::{
        self,
        consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull},
        context::GetStreamErrorKind,
        stream::{self, DiscardPolicy, RetentionPolicy, StorageType, Stream},
    },
};
use futures_util::TryStreamExt;

use crate::{
    ids::{NodeId, UserKey},
    subjects,
    sync::StreamId,
};

/// The stream of commands: one message kept for each user and node, so that it is every node's snapshot.
pub const COMMANDS: &str = "VPN_COMMANDS";
/// The stream of acks and events.
pub const EVENTS: &str = "VPN_EVENTS";
/// The durable consumer that all management replicas share.
pub const EVENTS_CONSUMER: &str = "mgmt-acks";
/// The queue group in which management replicas share requests and heartbeats.
pub const MANAGEMENT_GROUP: &str = "mgmt";
/// The prefix under which a node's account reaches the JetStream API (see `permissions`).
pub const NODE_API_PREFIX: &str = "jsvpn";
/// Older servers drop consumer and stream fields that we need, some of them silently.
pub const OLDEST_SERVER: (u64, u64) = (2, 14);

/// Unacked commands that the server hands to one node at once.
const MAX_ACK_PENDING: i64 = 1024;
/// Prefetched messages count against this, so it is longer than any batch takes.
const ACK_WAIT: Duration = Duration::from_secs(60);

/// How the streams are kept.
#[derive(Debug, Clone)]
pub struct TopologyOptions {
    /// Copies of each stream: 1 on a single server, 3 on a cluster.
    pub replicas: usize,
    /// Keep node consumers in memory: four times the throughput on a thousand nodes, and gone when the server restarts.
    pub memory_consumers: bool,
}

impl Default for TopologyOptions {
    fn default() -> Self {
        Self {
            replicas: 1,
            memory_consumers: false,
        }
    }
}

/// Why the bus cannot be used as it is.
#[derive(Debug, thiserror::Error)]
pub enum TopologyError {
    /// The server is older than [`OLDEST_SERVER`].
    #[error(
        "nats-server {found} is too old: VPN Manager needs 2.14 or newer, older ones ignore settings that keep nodes apart"
    )]
    ServerTooOld {
        /// The version that it gave.
        found: String,
    },
    /// What the server holds is not what was asked for.
    #[error(
        "{name} differs from what VPN Manager needs: {field} is {found}, not {wanted}; nothing was changed, correct or remove it by hand"
    )]
    Differs {
        /// The stream or consumer.
        name: String,
        /// The setting.
        field: &'static str,
        /// What it must be.
        wanted: String,
        /// What it is.
        found: String,
    },
    /// The server did not do what was asked.
    #[error("{action} failed")]
    Request {
        /// What was asked.
        action: String,
        /// Its answer.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl TopologyError {
    fn request<E>(action: impl Into<String>) -> impl FnOnce(E) -> Self
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let action = action.into();
        |source| Self::Request {
            action,
            source: source.into(),
        }
    }
}

/// The streams, ready to use.
#[derive(Debug, Clone)]
pub struct Topology {
    context: jetstream::Context,
    commands: Stream,
    events: Stream,
    options: TopologyOptions,
}

impl Topology {
    /// Creates what is missing and checks what is there.
    ///
    /// # Errors
    /// When the server is too old, does not answer, or holds streams of another shape.
    pub async fn ensure(client: &Client, options: TopologyOptions) -> Result<Self, TopologyError> {
        check_version(&client.server_info().version)?;
        let context = jetstream::context::ContextBuilder::new()
            .timeout(Duration::from_secs(5))
            .ack_timeout(Duration::from_secs(5))
            .max_ack_inflight(512)
            .build(client.clone());
        let commands = ensure_stream(&context, commands_config(&options)).await?;
        let events = ensure_stream(&context, events_config(&options)).await?;
        Ok(Self {
            context,
            commands,
            events,
            options,
        })
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

    /// The shared consumer of acks and events.
    ///
    /// # Errors
    /// When the server does not answer, or holds a consumer of another shape.
    pub async fn ensure_event_consumer(&self) -> Result<PullConsumer, TopologyError> {
        let wanted = pull::Config {
            durable_name: Some(EVENTS_CONSUMER.to_owned()),
            ack_policy: AckPolicy::Explicit,
            ack_wait: Duration::from_secs(30),
            max_ack_pending: 8192,
            deliver_policy: DeliverPolicy::All,
            ..Default::default()
        };
        ensure_consumer(&self.events, EVENTS_CONSUMER, wanted).await
    }

    /// The consumer from which one node pulls its commands.
    ///
    /// # Errors
    /// When the server does not answer, or holds a consumer of another shape.
    pub async fn ensure_node_consumer(&self, node: &NodeId) -> Result<(), TopologyError> {
        let wanted = pull::Config {
            durable_name: Some(node.to_string()),
            filter_subject: subjects::commands_of(node),
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            max_ack_pending: MAX_ACK_PENDING,
            deliver_policy: DeliverPolicy::All,
            memory_storage: self.options.memory_consumers,
            ..Default::default()
        };
        ensure_consumer(&self.commands, node.as_str(), wanted).await.map(drop)
    }

    /// Lets a node's consumer deliver everything again from the start.
    ///
    /// # Errors
    /// When the server does not do it.
    pub async fn rewind_node_consumer(&self, node: &NodeId) -> Result<(), TopologyError> {
        self.commands
            .reset_consumer(node.as_str(), Some(1))
            .await
            .map(drop)
            .map_err(TopologyError::request(format!("rewinding the consumer of {node}")))
    }

    /// Lets what was given to a run of the agent that is no more come again at once, and not after the ack wait.
    /// A command that comes twice changes nothing.
    ///
    /// # Errors
    /// When the server does not do it.
    pub async fn give_unsettled_again(&self, node: &NodeId) -> Result<(), TopologyError> {
        let action = format!("giving unsettled commands to {node} again");
        let info = self
            .commands
            .consumer_info(node.as_str())
            .await
            .map_err(TopologyError::request(action.clone()))?;
        if info.num_ack_pending == 0 {
            return Ok(());
        }
        let from = info.ack_floor.stream_sequence + 1;
        self.commands
            .reset_consumer(node.as_str(), Some(from))
            .await
            .map(drop)
            .map_err(TopologyError::request(action))
    }

    /// Takes away the consumer and the commands of a node that was deregistered. Repeating it is harmless.
    ///
    /// # Errors
    /// When the server does not do it.
    pub async fn remove_node(&self, node: &NodeId) -> Result<(), TopologyError> {
        match self.commands.delete_consumer(node.as_str()).await {
            Ok(_) => {}
            Err(error) if consumer_is_absent(&error) => {}
            Err(error) => {
                return Err(TopologyError::request(format!("deleting the consumer of {node}"))(
                    error,
                ));
            }
        }
        self.commands
            .purge()
            .filter(subjects::commands_of(node))
            .await
            .map(drop)
            .map_err(TopologyError::request(format!("purging the commands of {node}")))
    }

    /// The store that the stream of commands is in: another one after the server lost its own.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn commands_store(&self) -> Result<StreamId, TopologyError> {
        let info = self
            .commands
            .get_info()
            .await
            .map_err(TopologyError::request(format!("reading the stream {COMMANDS}")))?;
        let micros = info.created.unix_timestamp_nanos() / 1_000;
        Ok(StreamId(i64::try_from(micros).unwrap_or_default()))
    }

    /// Removes the commands of a node that are for none of these users. Gives how many users they were for.
    ///
    /// # Errors
    /// When the server does not do it.
    pub async fn forget_others(&self, node: &NodeId, known: &HashSet<UserKey>) -> Result<usize, TopologyError> {
        let all = subjects::commands_of(node);
        let failed = || TopologyError::request(format!("listing the commands of {node}"));
        let mut listed = self.commands.info_with_subjects(&all).await.map_err(failed())?;
        let mut unknown = Vec::new();
        while let Some((subject, _)) = listed.try_next().await.map_err(failed())? {
            let user = subject.rsplit('.').next().and_then(|token| token.parse().ok());
            if user.is_none_or(|user| !known.contains(&user)) {
                unknown.push(subject);
            }
        }
        for subject in &unknown {
            let purged = self.commands.purge().filter(subject.as_str()).await;
            purged.map_err(TopologyError::request(format!("purging {subject}")))?;
        }
        Ok(unknown.len())
    }

    /// Stream sequence of the newest command for a node, 0 when there is none.
    ///
    /// # Errors
    /// When the server does not answer.
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

fn consumer_is_absent(error: &stream::ConsumerError) -> bool {
    matches!(error.kind(), stream::ConsumerErrorKind::JetStream(inner)
        if inner.error_code() == jetstream::ErrorCode::CONSUMER_NOT_FOUND)
}

/// Refuses servers older than [`OLDEST_SERVER`].
///
/// # Errors
/// When the version is older or unreadable.
pub fn check_version(version: &str) -> Result<(), TopologyError> {
    let mut numbers = version.split(['.', '-']).map(|part| part.parse::<u64>().ok());
    let found = numbers.next().flatten().zip(numbers.next().flatten());
    match found {
        Some(found) if found >= OLDEST_SERVER => Ok(()),
        Some(_) | None => Err(TopologyError::ServerTooOld {
            found: version.to_owned(),
        }),
    }
}

fn commands_config(options: &TopologyOptions) -> stream::Config {
    stream::Config {
        name: COMMANDS.to_owned(),
        description: Some("Desired state of each user on each node; the newest command only".to_owned()),
        subjects: vec![subjects::ALL_COMMANDS.to_owned()],
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        discard: DiscardPolicy::Old,
        max_messages_per_subject: 1,
        // 2.15 servers allow 1,000 by default; one for each node.
        max_consumers: 20_000,
        max_messages: -1,
        max_bytes: -1,
        max_message_size: -1,
        num_replicas: options.replicas,
        duplicate_window: Duration::from_secs(120),
        allow_direct: true,
        allow_message_ttl: true,
        ..Default::default()
    }
}

fn events_config(options: &TopologyOptions) -> stream::Config {
    stream::Config {
        name: EVENTS.to_owned(),
        description: Some("Acks and events of the nodes, until management recorded them".to_owned()),
        subjects: vec![subjects::ALL_ACKS.to_owned(), subjects::ALL_EVENTS.to_owned()],
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        discard: DiscardPolicy::Old,
        max_consumers: -1,
        max_messages: -1,
        max_messages_per_subject: -1,
        max_message_size: -1,
        max_bytes: 1 << 30,
        max_age: Duration::from_secs(7 * 24 * 60 * 60),
        num_replicas: options.replicas,
        duplicate_window: Duration::from_secs(120),
        ..Default::default()
    }
}

async fn ensure_stream(context: &jetstream::Context, wanted: stream::Config) -> Result<Stream, TopologyError> {
    let name = wanted.name.clone();
    let found = match context.get_stream(&name).await {
        Ok(stream) => stream,
        Err(error) if stream_is_absent(&error) => context
            .create_stream(wanted.clone())
            .await
            .map_err(TopologyError::request(format!("creating the stream {name}")))?,
        Err(error) => return Err(TopologyError::request(format!("reading the stream {name}"))(error)),
    };
    let config = found.cached_info().config.clone();
    let differs = Differences { name: &name };
    differs.check("subjects", &wanted.subjects, &config.subjects)?;
    differs.check("retention", &wanted.retention, &config.retention)?;
    differs.check("storage", &wanted.storage, &config.storage)?;
    differs.check(
        "max_msgs_per_subject",
        &wanted.max_messages_per_subject,
        &config.max_messages_per_subject,
    )?;
    differs.check("max_consumers", &wanted.max_consumers, &config.max_consumers)?;
    differs.check("max_age", &wanted.max_age, &config.max_age)?;
    differs.check("num_replicas", &wanted.num_replicas, &config.num_replicas)?;
    differs.check("allow_direct", &wanted.allow_direct, &config.allow_direct)?;
    differs.check("allow_msg_ttl", &wanted.allow_message_ttl, &config.allow_message_ttl)?;
    Ok(found)
}

fn stream_is_absent(error: &jetstream::context::GetStreamError) -> bool {
    matches!(error.kind(), GetStreamErrorKind::JetStream(inner)
        if inner.error_code() == jetstream::ErrorCode::STREAM_NOT_FOUND)
}

async fn ensure_consumer(stream: &Stream, name: &str, wanted: pull::Config) -> Result<PullConsumer, TopologyError> {
    let consumer = stream
        .get_or_create_consumer(name, wanted.clone())
        .await
        .map_err(TopologyError::request(format!("creating the consumer {name}")))?;
    let config = consumer.cached_info().config.clone();
    let differs = Differences { name };
    differs.check("filter_subject", &wanted.filter_subject, &config.filter_subject)?;
    differs.check("deliver_subject", &None, &config.deliver_subject)?;
    differs.check("ack_policy", &wanted.ack_policy, &config.ack_policy)?;
    differs.check("ack_wait", &wanted.ack_wait, &config.ack_wait)?;
    differs.check("max_ack_pending", &wanted.max_ack_pending, &config.max_ack_pending)?;
    differs.check("deliver_policy", &wanted.deliver_policy, &config.deliver_policy)?;
    differs.check("memory_storage", &wanted.memory_storage, &config.memory_storage)?;
    Ok(consumer)
}

struct Differences<'a> {
    name: &'a str,
}

impl Differences<'_> {
    fn check<T: PartialEq + std::fmt::Debug>(
        &self,
        field: &'static str,
        wanted: &T,
        found: &T,
    ) -> Result<(), TopologyError> {
        if wanted == found {
            return Ok(());
        }
        Err(TopologyError::Differs {
            name: self.name.to_owned(),
            field,
            wanted: format!("{wanted:?}"),
            found: format!("{found:?}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_before_2_14_are_refused() {
        for old in ["2.9.10", "2.13.9", "1.99.0", "", "x"] {
            assert!(check_version(old).is_err(), "{old:?} was accepted");
        }
        for new in ["2.14.0", "2.15.1", "2.14.0-beta.1", "3.0.0"] {
            assert!(check_version(new).is_ok(), "{new:?} was refused");
        }
    }
}
