//! Pulls acks and events from their stream, records all that have arrived in one transaction, and only then settles them.

use std::{error::Error, pin::pin, time::Duration};

use anyhow::Context;
use async_nats::jetstream::consumer::PullConsumer;
use futures_util::{StreamExt, future::join_all};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};
use vpnmanager_nats::{
    delivery::{Delivery, Report},
    publish,
};
use vpnmanager_runtime::{contain::contain, error_chain::chain};

use crate::{
    app::App,
    ops::{
        reports::{apply_acks::Applied, apply_reports::apply_reports},
        sqlstate::is_about_data,
    },
};

/// The most reports in one transaction.
const BATCH: usize = 256;
/// Reports that could not be recorded are delivered again after this time.
const RETRY_AFTER: Duration = Duration::from_millis(500);
const REOPEN_AFTER: Duration = Duration::from_millis(500);

pub(super) async fn run(app: App, mut consumer: PullConsumer, stop: CancellationToken) -> anyhow::Result<()> {
    while !stop.is_cancelled() {
        if let Err(error) = app.topology.give_lost_reports_again().await {
            warn!(error = %chain(&error), "Asking for lost reports failed, they are delivered again after the ack wait");
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

/// Records the reports of one pull until the pull ends: the server lost the consumer, or management stops.
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
                // After the loss of the consumer the errors never end: the caller makes it again.
                Err(error) => return Err(error).context("the pull was interrupted"),
            }
        }
        work_off(app, deliveries).await;
    }
    Ok(())
}

/// A report that could be decoded.
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
                error!(subject = delivery.subject(), sequence = delivery.sequence(), error = %chain(&error), "Giving up a report that cannot be decoded");
                settle(delivery.terminate()).await;
            }
        }
    }
    let mut groups = vec![received];
    while let Some(group) = groups.pop() {
        groups.extend(record(app, group).await);
    }
}

/// Records a group in one transaction. If the database rejects one of its reports, returns the group in two halves, so that the other
/// reports do not wait for it. Returns nothing when the group is done.
async fn record(app: &App, group: Vec<Received>) -> Vec<Vec<Received>> {
    let (mut acks, mut events) = (Vec::new(), Vec::new());
    for Received { report, .. } in &group {
        match report {
            Report::Ack(ack) => acks.push(ack.body.clone()),
            Report::Event(event) => events.push(event.body.clone()),
        }
    }
    match contain("recording reports", apply_reports(app, &acks, &events)).await {
        Ok(Ok(applied)) => {
            if let Err(error) = app.waiters.tell(&app.db, &applied.users).await {
                debug!(error = %chain(&error), "Telling waiting requests failed, their users are looked at again");
            }
            join_all(group.into_iter().map(|received| settle(received.delivery.done()))).await;
            forget(app, applied).await;
        }
        Ok(Err(error)) if is_about_data(&error) => return halve_or_give_up(group, &error).await,
        Err(panicked) => return halve_or_give_up(group, &panicked).await,
        Ok(Err(error)) => {
            warn!(error = %chain(&error), reports = group.len(), "Recording reports failed, they are delivered again");
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

/// Returns two halves of a group in which one report is to blame, so that the others do not wait for it; a single report is given up.
async fn halve_or_give_up(mut group: Vec<Received>, why: &(dyn Error + Send + Sync + 'static)) -> Vec<Vec<Received>> {
    if group.len() > 1 {
        let second = group.split_off(group.len() / 2);
        return vec![second, group];
    }
    for Received { delivery, .. } in group {
        error!(subject = delivery.subject(), sequence = delivery.sequence(), error = %chain(why), "Giving up a report that cannot be recorded");
        settle(delivery.terminate()).await;
    }
    Vec::new()
}

/// Deletes acked tombstones from the stream. One that cannot be deleted stays until its time to live ends.
async fn forget(app: &App, applied: Applied) {
    for tombstone in applied.tombstones {
        let forgotten =
            publish::forget_tombstone(&app.topology, &tombstone.node, tombstone.user, tombstone.sequence).await;
        if let Err(error) = forgotten {
            debug!(error = %chain(&error), "Deleting a tombstone failed, it stays until its time to live ends");
        }
    }
}

async fn settle(settled: impl Future<Output = Result<(), vpnmanager_nats::delivery::SettleError>>) {
    if let Err(error) = settled.await {
        debug!(error = %chain(&error), "Settling a report failed, it is delivered again");
    }
}
