//! Answers nodes that the database does not know: it was restored from an older dump, and their credentials are still valid.

use std::{num::NonZeroU32, pin::pin};

use async_nats::{Message, Subscriber};
use futures_util::StreamExt;
use governor::{Quota, RateLimiter};
use tokio_util::sync::CancellationToken;
use tracing::warn;
use vpnmanager_nats::{
    envelope::Envelope,
    ids::NodeId,
    subjects,
    subjects::FromNode,
    sync::{SyncReply, SyncRequest},
};
use vpnmanager_runtime::{contain::contain, error_chain::chain};

use super::requests;
use crate::{app::App, ops::nodes::answer_sync::refuse_stranger};

/// Replicas share these requests apart from those of the listeners, which get every request of a registered node.
const GROUP: &str = "mgmt-strangers";
/// Sync requests in a second, of all strangers together. A node asks again.
const PACE: NonZeroU32 = NonZeroU32::new(20).unwrap();
/// Of one node, registered or not: one that asks too often leaves the pace of the others alone.
const PACE_OF_ONE: NonZeroU32 = NonZeroU32::new(1).unwrap();
/// Nodes whose pace is remembered, before those are forgotten that have been silent for a while.
const MOST_KNOWN: usize = 1_000;

pub(super) async fn subscribe(app: &App) -> Result<Subscriber, async_nats::SubscribeError> {
    let client = &app.inbound.client;
    client.queue_subscribe(subjects::ALL_SYNCS, GROUP.to_owned()).await
}

pub(super) async fn run(app: App, subscriber: Subscriber, stop: CancellationToken) -> anyhow::Result<()> {
    let pace = RateLimiter::direct(Quota::per_second(PACE));
    let pace_of_one = RateLimiter::keyed(Quota::per_second(PACE_OF_ONE));
    let mut messages = pin!(subscriber.take_until(stop.cancelled_owned()));
    while let Some(message) = messages.next().await {
        // The requests of registered nodes arrive here too, and are answered elsewhere: what is too much is dropped unread.
        let Some(FromNode::Sync(node)) = FromNode::parse(&message.subject) else {
            continue;
        };
        if pace_of_one.len() > MOST_KNOWN {
            pace_of_one.retain_recent();
        }
        if pace_of_one.check_key(&node).is_ok() && pace.check().is_ok() {
            contain("answering an unknown node", answer(&app, &node, message))
                .await
                .unwrap_or_default();
        }
    }
    Ok(())
}

async fn answer(app: &App, node: &NodeId, message: Message) {
    let Some(reply) = message.reply else {
        return;
    };
    let Some(request) = requests::read(node, &message.payload, |request: &SyncRequest| &request.node) else {
        return;
    };
    match refuse_stranger(app, &request.node).await {
        Ok(Some(refusal)) => {
            if let Err(error) = app
                .bus
                .client
                .publish(reply, Envelope::new(SyncReply::from(refusal)).encode())
                .await
            {
                warn!(error = %chain(&error), "Sending an answer failed");
            }
        }
        Ok(None) => {}
        Err(error) => warn!(node.id = %node, error = %chain(&error), "Looking for a node failed"),
    }
}
