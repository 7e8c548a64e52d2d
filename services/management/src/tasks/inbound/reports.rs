//! Takes acks and events from the streams of the nodes, records all that have arrived in one transaction, and only then settles them.

use std::{collections::HashMap, error::Error, num::NonZeroU32, time::Duration};

use futures_util::{
    FutureExt, StreamExt,
    future::join_all,
    stream::{self, SelectAll},
};
use governor::{DefaultDirectRateLimiter, Quota};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};
use vpnmanager_nats::{
    delivery::{Delivery, Report},
    ids::NodeId,
};
use vpnmanager_runtime::{contain::contain, error_chain::chain, log_limit::LogLimit};

use super::report_sources::Source;
use crate::{
    app::App,
    ops::{
        reports::{
            apply_acks::AckedTombstone,
            apply_reports::apply_reports,
            follow_up::{self, forget_one},
        },
        sqlstate::meaning,
    },
};

/// The most reports in one transaction.
const BATCH: usize = 256;
/// Reports that could not be recorded are delivered again after this time.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// Tombstones that wait to be deleted from the stream, and how many are deleted at the same time.
const FORGETTING: usize = 4096;
const FORGOTTEN_AT_ONCE: usize = 16;
/// Acks of users whom nobody holds, of one node in a second, that have the bus look for a tombstone: a node can send any number of them.
const UNKNOWN_PER_SECOND: NonZeroU32 = NonZeroU32::new(20).unwrap();

static UNDECODABLE: LogLimit = LogLimit::lines("a report could not be decoded", 5);
static UNRECORDABLE: LogLimit = LogLimit::lines("a report could not be recorded", 5);

/// Records the reports of all sources, in turn, until `stop`.
pub(super) async fn run(app: App, mut opened: mpsc::Receiver<Source>, stop: CancellationToken) -> anyhow::Result<()> {
    let (forgetting, due) = mpsc::channel(FORGETTING);
    let mut recorder = Recorder {
        app: &app,
        forgetting,
        unknown: UnknownUsers::default(),
    };
    let record = async {
        let mut sources = SelectAll::new();
        loop {
            tokio::select! {
                Some(source) = opened.recv() => sources.push(source),
                Some(first) = sources.next() => recorder.work_off(gather(first, &mut sources)).await,
                () = stop.cancelled() => return,
            }
        }
    };
    tokio::select! {
        () = record => {}
        // It never ends: the recorder holds a sender.
        () = forget(&app, due) => {}
    }
    Ok(())
}

/// Deletes tombstones beside the recording, so that no report waits for it. What is left at the end stays until its time to live ends.
async fn forget(app: &App, mut due: mpsc::Receiver<AckedTombstone>) {
    stream::poll_fn(|context| due.poll_recv(context))
        .for_each_concurrent(FORGOTTEN_AT_ONCE, async |tombstone| {
            contain("deleting a tombstone", forget_one(app, tombstone)).await.ok();
        })
        .await;
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

struct Recorder<'a> {
    app: &'a App,
    forgetting: mpsc::Sender<AckedTombstone>,
    unknown: UnknownUsers,
}

impl Recorder<'_> {
    async fn work_off(&mut self, deliveries: Vec<Delivery>) {
        let mut received = Vec::with_capacity(deliveries.len());
        for delivery in deliveries {
            match contain("reading a report", async { delivery.report() }).await {
                Ok(Ok(report)) => received.push(Received { delivery, report }),
                Err(_panicked) => settle(delivery.terminate()).await,
                Ok(Err(error)) => {
                    if let Some(times) = UNDECODABLE.admit() {
                        error!(times, subject = delivery.subject(), sequence = delivery.sequence(), error = %chain(&error), "Giving up a report that cannot be decoded");
                    }
                    settle(delivery.terminate()).await;
                }
            }
        }
        let mut groups = vec![received];
        while let Some(group) = groups.pop() {
            groups.extend(self.record(group).await);
        }
    }

    /// Records a group in one transaction. If the database rejects one of its reports, returns the group in two halves, so that the other
    /// reports do not wait for it. Returns nothing when the group is done.
    async fn record(&mut self, group: Vec<Received>) -> Vec<Vec<Received>> {
        let app = self.app;
        let (mut acks, mut events) = (Vec::new(), Vec::new());
        for Received { report, .. } in &group {
            match report {
                Report::Ack(ack) => acks.push(ack.body.clone()),
                Report::Event(event) => events.push(event.body.clone()),
            }
        }
        match contain("recording reports", apply_reports(app, &acks, &events)).await {
            Ok(Ok(applied)) => {
                contain("telling who waits", follow_up::tell(app, &applied)).await.ok();
                join_all(group.into_iter().map(|received| settle(received.delivery.done()))).await;
                self.forget(applied.tombstones);
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

    /// Has tombstones deleted. Those for which there is no room stay until their time to live ends.
    fn forget(&mut self, tombstones: Vec<AckedTombstone>) {
        for tombstone in tombstones {
            if tombstone.sequence.is_some() || self.unknown.admit(&tombstone.node) {
                self.forgetting.try_send(tombstone).ok();
            }
        }
    }
}

/// How many acks of users whom nobody holds each node may still send.
#[derive(Default)]
struct UnknownUsers(HashMap<NodeId, DefaultDirectRateLimiter>);

impl UnknownUsers {
    fn admit(&mut self, node: &NodeId) -> bool {
        let budget = || DefaultDirectRateLimiter::direct(Quota::per_second(UNKNOWN_PER_SECOND));
        self.0.entry(node.clone()).or_insert_with(budget).check().is_ok()
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_with_many_unknown_users_leaves_the_budget_of_another_alone() {
        let [thief, honest] = ["node-2", "node-1"].map(|id| id.parse().expect("a valid id"));
        let mut unknown = UnknownUsers::default();
        let admitted = (0..1_000).filter(|_| unknown.admit(&thief)).count();
        assert!((20..100).contains(&admitted), "{admitted}");
        assert!(unknown.admit(&honest));
    }
}
