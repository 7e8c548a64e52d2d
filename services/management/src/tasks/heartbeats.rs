//! Receives heartbeats, and records all that have arrived in one transaction.

use std::pin::pin;

use async_nats::Subscriber;
use chrono::Utc;
use futures_util::StreamExt;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use vpnmanager_nats::{envelope::Envelope, heartbeats::Heartbeat, subjects::FromNode};
use vpnmanager_runtime::{contain::contain, error_chain::chain};

use crate::{
    app::App,
    ops::{
        nodes::{
            received::{Received, Speaker},
            record_heartbeats::record_heartbeats,
        },
        sqlstate::is_about_data,
    },
};

/// What is contained here, in the log.
const HANDLING: &str = "recording heartbeats";
/// The most heartbeats in one transaction.
const BATCH: usize = 256;

pub(super) async fn run(app: App, subscriber: Subscriber, stop: CancellationToken) -> anyhow::Result<()> {
    let mut batches = pin!(subscriber.take_until(stop.cancelled_owned()).ready_chunks(BATCH));
    while let Some(messages) = batches.next().await {
        let received: Vec<Received> = messages.iter().filter_map(read).collect();
        if received.is_empty() {
            continue;
        }
        record(&app, received).await;
    }
    Ok(())
}

/// Records heartbeats. They are not tried again, because the next one comes in five seconds. If the database rejects one of them, each is
/// recorded on its own, so that the others are not lost.
async fn record(app: &App, received: Vec<Received>) {
    match contain(HANDLING, record_heartbeats(&app.db, app.config.health, &received)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) if is_about_data(&error) => record_each(app, received).await,
        Ok(Err(error)) => warn!(error = %chain(&error), "Recording heartbeats failed"),
        Err(_panicked) => record_each(app, received).await,
    }
}

async fn record_each(app: &App, received: Vec<Received>) {
    for one in received {
        let node = one.heartbeat.node.clone();
        match contain(HANDLING, record_heartbeats(&app.db, app.config.health, &[one])).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(node.id = %node, error = %chain(&error), "Recording a heartbeat failed"),
            Err(panicked) => warn!(node.id = %node, error = %chain(&panicked), "Dropping a heartbeat"),
        }
    }
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
            warn!(node.id = %node, "Dropping a heartbeat that names another node");
            None
        }
        Err(error) => {
            debug!(node.id = %node, error = %chain(&error), "Dropping a heartbeat that cannot be decoded");
            None
        }
    }
}
