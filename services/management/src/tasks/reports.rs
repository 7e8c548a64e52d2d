//! Takes acks and events from their stream, records as many as have come in one transaction, and only then settles them.

use std::{pin::pin, time::Duration};

use anyhow::Context;
use async_nats::jetstream::consumer::PullConsumer;
use futures_util::{StreamExt, future::join_all};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};
use vpnmanager_nats::{
    delivery::{Delivery, Report},
    publish,
};
use vpnmanager_runtime::error_chain::chain;

use crate::{
    app::App,
    ops::{
        reports::{acks::Applied, apply},
        sqlstate::is_about_data,
    },
};

/// Reports recorded in one transaction.
const BATCH: usize = 256;
/// What could not be recorded comes again after this.
const RETRY_AFTER: Duration = Duration::from_millis(500);
const REOPEN_AFTER: Duration = Duration::from_millis(500);

pub(super) async fn run(app: App, mut consumer: PullConsumer, stop: CancellationToken) -> anyhow::Result<()> {
    while !stop.is_cancelled() {
        if let Err(error) = app.topology.give_lost_reports_again().await {
            warn!(error = %chain(&error), "Reports that were lost on their way come only after the ack wait");
        }
        match pull(&app, &consumer, &stop).await {
            Ok(()) if stop.is_cancelled() => break,
            Ok(()) => debug!("The pull of reports ended"),
            Err(error) => warn!(error = format!("{error:#}"), "Pulling reports failed"),
        }
        tokio::select! {
            () = tokio::time::sleep(REOPEN_AFTER) => {}
            () = stop.cancelled() => break,
        }
        match app.topology.ensure_event_consumer().await {
            Ok(found) => consumer = found,
            Err(error) => warn!(error = %chain(&error), "The consumer of reports is not ready"),
        }
    }
    Ok(())
}

/// Works off one pull until it ends: the server lost the consumer, or we stop.
async fn pull(app: &App, consumer: &PullConsumer, stop: &CancellationToken) -> anyhow::Result<()> {
    let messages = consumer
        .stream()
        .max_messages_per_batch(BATCH * 4)
        .expires(Duration::from_secs(30))
        .heartbeat(Duration::from_secs(5))
        .messages()
        .await
        .context("opening the pull failed")?;
    let mut batches = pin!(messages.take_until(stop.clone().cancelled_owned()).ready_chunks(BATCH));
    while let Some(batch) = batches.next().await {
        let mut deliveries = Vec::with_capacity(batch.len());
        for message in batch {
            match message {
                Ok(message) => deliveries.push(Delivery::from(message)),
                // After a lost consumer these never end: let the caller look after it.
                Err(error) => return Err(error).context("the pull was interrupted"),
            }
        }
        work_off(app, deliveries).await;
    }
    Ok(())
}

/// A report that could be read.
struct Received {
    delivery: Delivery,
    report: Report,
}

async fn work_off(app: &App, deliveries: Vec<Delivery>) {
    let mut received = Vec::with_capacity(deliveries.len());
    for delivery in deliveries {
        match delivery.report() {
            Ok(report) => received.push(Received { delivery, report }),
            Err(error) => {
                error!(subject = delivery.subject(), sequence = delivery.sequence(), error = %chain(&error), "A report is not understood");
                settle(delivery.terminate()).await;
            }
        }
    }
    let mut groups = vec![received];
    while let Some(group) = groups.pop() {
        groups.extend(record(app, group).await);
    }
}

/// Records a group in one transaction. One with a report that the database cannot hold is given back in halves, so that the reports of
/// other nodes do not wait for it.
async fn record(app: &App, mut group: Vec<Received>) -> Vec<Vec<Received>> {
    let (mut acks, mut events) = (Vec::new(), Vec::new());
    for Received { report, .. } in &group {
        match report {
            Report::Ack(ack) => acks.push(ack.body.clone()),
            Report::Event(event) => events.push(event.body.clone()),
        }
    }
    match apply::apply(app, &acks, &events).await {
        Ok(applied) => {
            if let Err(error) = app.waiters.tell(&app.db, &applied.users).await {
                debug!(error = %chain(&error), "Those who wait look for themselves");
            }
            join_all(group.into_iter().map(|received| settle(received.delivery.done()))).await;
            forget(app, applied).await;
        }
        Err(error) if is_about_data(&error) && group.len() > 1 => {
            let second = group.split_off(group.len() / 2);
            return vec![second, group];
        }
        Err(error) if is_about_data(&error) => {
            for Received { delivery, .. } in group {
                error!(subject = delivery.subject(), sequence = delivery.sequence(), error = %chain(&error), "A report cannot be recorded, it is given up");
                settle(delivery.terminate()).await;
            }
        }
        Err(error) => {
            warn!(error = %chain(&error), reports = group.len(), "Recording reports failed, they come again");
            join_all(
                group
                    .into_iter()
                    .map(|received| settle(received.delivery.retry(RETRY_AFTER))),
            )
            .await;
        }
    }
    Vec::new()
}

/// Acked tombstones need not stay in the stream. One that stays all the same ends by its time to live.
async fn forget(app: &App, applied: Applied) {
    for tombstone in applied.tombstones {
        let forgotten =
            publish::forget_tombstone(&app.topology, &tombstone.node, tombstone.user, tombstone.sequence).await;
        if let Err(error) = forgotten {
            debug!(error = %chain(&error), "A tombstone stays in the stream");
        }
    }
}

async fn settle(settled: impl Future<Output = Result<(), vpnmanager_nats::delivery::SettleError>>) {
    if let Err(error) = settled.await {
        debug!(error = %chain(&error), "A report was not settled, it comes again");
    }
}
