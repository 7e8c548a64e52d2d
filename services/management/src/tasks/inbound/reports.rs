//! Takes acks and events from the streams of the nodes, records all that have arrived in one transaction, and only then settles them.

use std::{error::Error, time::Duration};

use futures_util::{FutureExt, StreamExt, future::join_all, stream::SelectAll};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};
use vpnmanager_nats::delivery::{Delivery, Report};
use vpnmanager_runtime::{contain::contain, error_chain::chain, log_limit::LogLimit};

use super::report_sources::Source;
use crate::{
    app::App,
    ops::{
        reports::{apply_reports::apply_reports, follow_up},
        sqlstate::meaning,
    },
};

/// The most reports in one transaction.
const BATCH: usize = 256;
/// Reports that could not be recorded are delivered again after this time.
const RETRY_AFTER: Duration = Duration::from_millis(500);

static UNDECODABLE: LogLimit = LogLimit::lines("a report could not be decoded", 5);
static UNRECORDABLE: LogLimit = LogLimit::lines("a report could not be recorded", 5);

/// Records the reports of all sources, in turn, until `stop`.
pub(super) async fn run(app: App, mut opened: mpsc::Receiver<Source>, stop: CancellationToken) -> anyhow::Result<()> {
    let mut sources = SelectAll::new();
    loop {
        tokio::select! {
            Some(source) = opened.recv() => sources.push(source),
            Some(first) = sources.next() => work_off(&app, gather(first, &mut sources)).await,
            () = stop.cancelled() => return Ok(()),
        }
    }
}

/// What has arrived, up to a batch. The sources take turns, so that one node with many reports does not hold up the others.
fn gather(first: Delivery, sources: &mut SelectAll<Source>) -> Vec<Delivery> {
    let mut batch = vec![first];
    while batch.len() < BATCH
        && let Some(Some(next)) = sources.next().now_or_never()
    {
        batch.push(next);
    }
    batch
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
                if let Some(times) = UNDECODABLE.admit() {
                    error!(times, subject = delivery.subject(), sequence = delivery.sequence(), error = %chain(&error), "Giving up a report that cannot be decoded");
                }
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
            follow_up::tell(app, &applied).await;
            join_all(group.into_iter().map(|received| settle(received.delivery.done()))).await;
            follow_up::forget(app, applied).await;
        }
        Ok(Err(error)) if meaning(&error).is_about_data() => return halve_or_give_up(group, &error).await,
        Err(panicked) => return halve_or_give_up(group, &panicked).await,
        Ok(Err(error)) => {
            warn!(
                error = app.reach.explain_any(&error),
                reports = group.len(),
                "Recording reports failed, they are delivered again"
            );
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
        if let Some(times) = UNRECORDABLE.admit() {
            error!(times, subject = delivery.subject(), sequence = delivery.sequence(), error = %chain(why), "Giving up a report that cannot be recorded");
        }
        settle(delivery.terminate()).await;
    }
    Vec::new()
}

async fn settle(settled: impl Future<Output = Result<(), vpnmanager_nats::delivery::SettleError>>) {
    if let Err(error) = settled.await {
        debug!(error = %chain(&error), "Settling a report failed, it is delivered again");
    }
}
