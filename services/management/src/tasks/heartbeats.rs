//! Receives heartbeats, and records as many as have come.

use std::pin::pin;

use async_nats::Subscriber;
use chrono::Utc;
use futures_util::StreamExt;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use vpnmanager_nats::{envelope::Envelope, heartbeats::Heartbeat, subjects::FromNode};
use vpnmanager_runtime::error_chain::chain;

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

/// Heartbeats recorded in one transaction.
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

/// The next heartbeat comes in five seconds, so a lost one is not kept. One that the database cannot hold costs the others nothing.
async fn record(app: &App, received: Vec<Received>) {
    let record = async |received: &[Received]| record_heartbeats(&app.db, app.config.health, received).await;
    match record(&received).await {
        Ok(()) => {}
        Err(error) if is_about_data(&error) && received.len() > 1 => {
            for one in received {
                let node = one.heartbeat.node.clone();
                if let Err(error) = record(&[one]).await {
                    warn!(node.id = %node, error = %chain(&error), "Recording a heartbeat failed");
                }
            }
        }
        Err(error) => warn!(error = %chain(&error), "Recording heartbeats failed"),
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
            warn!(node.id = %node, "A heartbeat speaks for another node");
            None
        }
        Err(error) => {
            debug!(node.id = %node, error = %chain(&error), "A heartbeat is not understood");
            None
        }
    }
}
