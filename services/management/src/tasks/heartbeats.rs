//! Receives heartbeats, and records as many as have come.

use std::pin::pin;

use async_nats::Subscriber;
use chrono::Utc;
use futures_util::StreamExt;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use vpnmanager_nats::{envelope::Envelope, heartbeats::Heartbeat, subjects::FromNode};

use crate::{
    app::App,
    ops::record_heartbeats::{self, Received, Speaker},
};

/// Heartbeats recorded in one transaction.
const BATCH: usize = 256;

pub(super) async fn run(app: App, subscriber: Subscriber, stop: CancellationToken) -> anyhow::Result<()> {
    let mut batches = pin!(subscriber.take_until(stop.cancelled_owned()).ready_chunks(BATCH));
    while let Some(messages) = batches.next().await {
        let received: Vec<Received> = messages.iter().filter_map(read).collect();
        if received.is_empty() {
            continue;
        }
        // The next heartbeat comes in five seconds, so a lost one is not kept.
        if let Err(error) = record_heartbeats::record(&app.db, app.settings.thresholds, received).await {
            warn!(error = %error, "Recording heartbeats failed");
        }
    }
    Ok(())
}

fn read(message: &async_nats::Message) -> Option<Received> {
    let Some(FromNode::Health(node)) = FromNode::parse(&message.subject) else {
        return None;
    };
    match Envelope::<Heartbeat>::decode(&message.payload) {
        Ok(envelope) if envelope.body.node == node => Some(Received {
            heartbeat: envelope.body,
            at: Utc::now(),
            by: Speaker::Agent,
        }),
        Ok(_) => {
            warn!(node.id = %node, "A heartbeat speaks for another node");
            None
        }
        Err(error) => {
            debug!(node.id = %node, error = %error, "A heartbeat is not understood");
            None
        }
    }
}
