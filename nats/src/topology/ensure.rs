//! Creating what is missing, comparing what is there.

use async_nats::jetstream::{
    self,
    consumer::{self, PullConsumer, pull},
    context::{CreateStreamErrorKind, GetStreamErrorKind},
    stream::{self, Stream},
};

use super::{error::TopologyError, names::EVENTS_CONSUMER, options::TopologyOptions, shapes};
use crate::{ids::NodeId, store_limit};

pub(super) async fn ensure_stream(
    context: &jetstream::Context,
    wanted: stream::Config,
) -> Result<Stream, TopologyError> {
    let name = wanted.name.clone();
    let found = match context.get_stream(&name).await {
        Ok(stream) => stream,
        Err(error) if stream_is_absent(&error) => context.create_stream(wanted.clone()).await.map_err(|error| {
            if let CreateStreamErrorKind::JetStream(inner) = error.kind()
                && store_limit::is_reached(&inner)
            {
                return TopologyError::NoRoom { name: name.clone() };
            }
            TopologyError::request(format!("creating the stream {name}"))(error)
        })?,
        Err(error) => return Err(TopologyError::request(format!("reading the stream {name}"))(error)),
    };
    let config = found.cached_info().config.clone();
    compare_stream(&wanted, &config)?;
    // Streams of before made room for new reports, took reports of any size, and remembered their ids for longer. How many copies there are
    // is for the operator to say.
    let changed = stream::Config {
        num_replicas: wanted.num_replicas,
        discard: wanted.discard,
        max_message_size: wanted.max_message_size,
        duplicate_window: wanted.duplicate_window,
        ..config.clone()
    };
    if changed == config {
        return Ok(found);
    }
    let updated = context.update_stream(&changed).await.map(drop);
    updated.map_err(TopologyError::request(format!("changing the stream {name}")))?;
    Ok(found)
}

/// Whether a stream has what cannot be changed under it.
pub(super) fn compare_stream(wanted: &stream::Config, config: &stream::Config) -> Result<(), TopologyError> {
    let differs = Differences { name: &wanted.name };
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
    differs.check("allow_direct", &wanted.allow_direct, &config.allow_direct)?;
    differs.check("allow_msg_ttl", &wanted.allow_message_ttl, &config.allow_message_ttl)
}

pub(super) fn stream_is_absent(error: &jetstream::context::GetStreamError) -> bool {
    matches!(error.kind(), GetStreamErrorKind::JetStream(inner)
        if inner.error_code() == jetstream::ErrorCode::STREAM_NOT_FOUND)
}

pub(super) fn consumer_is_absent(error: &stream::ConsumerError) -> bool {
    matches!(error.kind(), stream::ConsumerErrorKind::JetStream(inner)
        if inner.error_code() == jetstream::ErrorCode::CONSUMER_NOT_FOUND)
}

pub(super) async fn ensure_consumer(
    stream: &Stream,
    name: &str,
    wanted: pull::Config,
) -> Result<PullConsumer, TopologyError> {
    let consumer = stream
        .get_or_create_consumer(name, wanted.clone())
        .await
        .map_err(TopologyError::request(format!("creating the consumer {name}")))?;
    let config = consumer.cached_info().config.clone();
    compare_consumer(name, &wanted, &config)?;
    // Consumers of before have none, and the server does not change them. A new one delivers everything again, which changes nothing.
    let is_bounded = wanted.max_waiting > 0;
    if is_bounded && (config.max_waiting, config.max_expires) != (wanted.max_waiting, wanted.max_expires) {
        stream
            .delete_consumer(name)
            .await
            .map_err(TopologyError::request(format!(
                "deleting the consumer {name}, whose pulls have other bounds"
            )))?;
        let made = stream.get_or_create_consumer(name, wanted).await;
        return made.map_err(TopologyError::request(format!("creating the consumer {name}")));
    }
    Ok(consumer)
}

/// The same of a consumer.
pub(super) fn compare_consumer(
    name: &str,
    wanted: &pull::Config,
    config: &consumer::Config,
) -> Result<(), TopologyError> {
    let differs = Differences { name };
    differs.check("filter_subject", &wanted.filter_subject, &config.filter_subject)?;
    differs.check("deliver_subject", &None, &config.deliver_subject)?;
    differs.check("ack_policy", &wanted.ack_policy, &config.ack_policy)?;
    differs.check("ack_wait", &wanted.ack_wait, &config.ack_wait)?;
    differs.check("max_ack_pending", &wanted.max_ack_pending, &config.max_ack_pending)?;
    differs.check("deliver_policy", &wanted.deliver_policy, &config.deliver_policy)?;
    differs.check("memory_storage", &wanted.memory_storage, &config.memory_storage)
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

/// Makes the stream of a node's reports, and the consumer that management shares.
pub(super) async fn ensure_reports(
    context: &jetstream::Context,
    node: &NodeId,
    options: &TopologyOptions,
) -> Result<PullConsumer, TopologyError> {
    let stream = ensure_stream(context, shapes::reports(node, options)).await?;
    ensure_consumer(&stream, EVENTS_CONSUMER, shapes::reports_consumer()).await
}
