//! Takes over what an earlier release left on the bus.

use std::{collections::HashSet, time::Duration};

use async_nats::jetstream::{self, consumer::PullConsumer, context::Context, message::PublishMessage};
use futures_util::TryStreamExt;

use super::{
    ensure::{ensure_reports, stream_is_absent},
    error::TopologyError,
    names::{EVENTS, EVENTS_CONSUMER},
    options::TopologyOptions,
    shapes,
};
use crate::subjects::FromNode;

/// Where the stream that all nodes shared listens while it is emptied: nobody publishes there.
const NOWHERE: &str = "vpn.retired.reports";
/// The most reports that are moved before they are settled.
const BATCH: usize = 256;
const PAUSE: Duration = Duration::from_millis(200);

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Moves the reports that management has not recorded from the stream that all nodes shared to the streams of their nodes, and deletes
/// that stream. Repeating it, also by several replicas at once, changes nothing: an event is recorded once by its id, and an ack that
/// comes twice changes nothing.
pub(super) async fn divide_shared_reports(context: &Context, options: &TopologyOptions) -> Result<(), TopologyError> {
    let action = format!("dividing the stream {EVENTS} of an earlier release among the nodes");
    match divide(context, options).await {
        // Another replica may have ended it first, at any point.
        Err(_) if is_divided(context).await => Ok(()),
        divided => divided.map_err(TopologyError::request(action)),
    }
}

async fn is_divided(context: &Context) -> bool {
    let found = context.get_stream(EVENTS).await;
    found.is_err_and(|error| stream_is_absent(&error))
}

async fn divide(context: &Context, options: &TopologyOptions) -> Result<(), Cause> {
    let shared = match context.get_stream(EVENTS).await {
        Ok(stream) => stream,
        Err(error) if stream_is_absent(&error) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let mut config = shared.cached_info().config.clone();
    config.subjects = vec![NOWHERE.to_owned()];
    context.update_stream(config).await?;
    // Without its consumer nothing says which of them were recorded: all are moved.
    let consumer = shared
        .get_or_create_consumer(EVENTS_CONSUMER, shapes::reports_consumer())
        .await?;
    // What another replica holds unsettled is not done yet.
    while !is_done(&consumer).await? {
        move_some(context, options, &consumer).await?;
    }
    context.delete_stream(EVENTS).await?;
    Ok(())
}

async fn is_done(consumer: &PullConsumer) -> Result<bool, Cause> {
    let info = consumer.get_info().await?;
    Ok(info.num_pending == 0 && info.num_ack_pending == 0)
}

/// Moves some reports, or waits a moment for more.
async fn move_some(context: &Context, options: &TopologyOptions, consumer: &PullConsumer) -> Result<(), Cause> {
    let fetched = consumer.batch().max_messages(BATCH).expires(PAUSE).messages().await?;
    let messages: Vec<jetstream::Message> = fetched.try_collect().await?;
    let mut ready = HashSet::new();
    for message in &messages {
        if let Some(from) = FromNode::parse(&message.subject) {
            if ready.insert(from.node().clone()) {
                ensure_reports(context, from.node(), options).await?;
            }
            let moved = PublishMessage::build().payload(message.payload.clone());
            let sent = context.send_publish(message.subject.clone(), moved);
            sent.await?.await?;
        }
        message.ack().await?;
    }
    Ok(())
}
