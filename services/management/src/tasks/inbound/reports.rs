//! Takes reports from the streams of the nodes, records all acks and events that have arrived in one transaction, and only then settles them.
//! Reports of sessions are recorded beside.

use std::{collections::HashMap, num::NonZeroU32};

use futures_util::{
    FutureExt, StreamExt,
    future::join_all,
    stream::{self, BoxStream, SelectAll},
};
use governor::{DefaultDirectRateLimiter, Quota};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};
use vpnmanager_nats::{
    acks::Ack,
    delivery::{Delivery, Report},
    envelope::Envelope,
    events::Event,
    ids::NodeId,
};
use vpnmanager_runtime::{
    contain::contain,
    error_chain::chain,
    log_limit::LogLimit,
    traces::{Kind, Span},
};

use super::{
    report_sources::Source,
    session_reports::{self, SessionReports},
    settling::{RETRY_AFTER, halve_or_give_up, settle},
};
use crate::{
    app::App,
    metrics::work::Batch,
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
/// When they have so many bytes, the next ones go into another: whoever has an ack in a batch waits until all of it is read and recorded.
const BATCH_BYTES: usize = 256 * 1024;
/// Tombstones that wait to be deleted from the stream, and how many are deleted at the same time.
const FORGETTING: usize = 4096;
const FORGOTTEN_AT_ONCE: usize = 16;
/// Acks of users whom nobody holds, of one node in a second, that have the bus look for a tombstone: a node can send any number of them.
const UNKNOWN_PER_SECOND: NonZeroU32 = NonZeroU32::new(20).unwrap();

static UNDECODABLE: LogLimit = LogLimit::lines("a report could not be decoded", 5);

/// Records the reports of all sources, in turn, until `stop`.
pub(super) async fn run(app: App, mut opened: mpsc::Receiver<Source>, stop: CancellationToken) -> anyhow::Result<()> {
    let (forgetting, due) = mpsc::channel(FORGETTING);
    let (sessions, waiting) = SessionReports::new();
    let mut recorder = Recorder {
        app: &app,
        sessions,
        forgetting,
        unknown: UnknownUsers::default(),
    };
    let record = async {
        let mut sources = SelectAll::new();
        loop {
            tokio::select! {
                Some(source) = opened.recv() => sources.push(source),
                Some(first) = sources.next() => recorder.work_off(gather(first, &mut sources, Delivery::size)).await,
                () = stop.cancelled() => return,
            }
        }
    };
    tokio::select! {
        () = record => {}
        // These never end: the recorder holds their senders.
        () = forget(&app, due) => {}
        () = session_reports::run(&app, waiting) => {}
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
fn gather<T>(first: T, sources: &mut SelectAll<BoxStream<'_, T>>, size: fn(&T) -> usize) -> Vec<T> {
    let mut bytes = size(&first);
    let mut batch = vec![first];
    while batch.len() < BATCH
        && bytes < BATCH_BYTES
        && let Some(Some(next)) = sources.next().now_or_never()
    {
        bytes += size(&next);
        batch.push(next);
    }
    batch
}

/// An ack or an event that could be decoded.
struct Received {
    delivery: Delivery,
    report: AckOrEvent,
}

enum AckOrEvent {
    Ack(Box<Envelope<Ack>>),
    Event(Box<Envelope<Event>>),
}

impl From<Received> for Delivery {
    fn from(received: Received) -> Self {
        received.delivery
    }
}

struct Recorder<'a> {
    app: &'a App,
    sessions: SessionReports,
    forgetting: mpsc::Sender<AckedTombstone>,
    unknown: UnknownUsers,
}

impl Recorder<'_> {
    async fn work_off(&mut self, deliveries: Vec<Delivery>) {
        let mut received = Vec::with_capacity(deliveries.len());
        for delivery in deliveries {
            let report = match contain("reading a report", async { delivery.report() }).await {
                Ok(Ok(Report::Ack(ack))) => AckOrEvent::Ack(ack),
                Ok(Ok(Report::Event(event))) => AckOrEvent::Event(event),
                Ok(Ok(Report::Sessions(report))) => {
                    self.sessions.take(delivery, report.body).await;
                    continue;
                }
                Err(_panicked) => {
                    settle(delivery.terminate()).await;
                    continue;
                }
                Ok(Err(error)) => {
                    if let Some(times) = UNDECODABLE.admit() {
                        error!(times, subject = delivery.subject(), sequence = delivery.sequence(), error = %chain(&error), "Giving up a report that cannot be decoded");
                    }
                    settle(delivery.terminate()).await;
                    continue;
                }
            };
            received.push(Received { delivery, report });
        }
        if received.is_empty() {
            return;
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
                AckOrEvent::Ack(ack) => acks.push(ack.body.clone()),
                AckOrEvent::Event(event) => events.push(event.body.clone()),
            }
        }
        let spans = spans_of(&group);
        let recorded = contain("recording reports", apply_reports(app, &acks, &events)).await;
        drop(spans);
        match recorded {
            Ok(Ok(applied)) => {
                app.figures.work.batch(Batch::Reports, group.len());
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

/// The recording of each ack that belongs to a trace.
fn spans_of(group: &[Received]) -> Vec<Span> {
    let acks = group.iter().filter_map(|received| match &received.report {
        AckOrEvent::Ack(ack) => Some(ack),
        AckOrEvent::Event(_) => None,
    });
    let traced = acks.filter(|ack| ack.traceparent.is_some()).map(|ack| {
        let mut span = Span::follow("record ack", Kind::Consumer, ack.traceparent.as_deref());
        span.note("vpn.node", ack.body.node.as_str());
        span
    });
    traced.collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_has_so_many_reports_or_so_many_bytes_of_all_nodes_in_turn() {
        let gathered = |size: usize| {
            let node = move |name: char| stream::iter(vec![(name, size); 1_000]).boxed();
            let mut sources = stream::select_all([node('a'), node('b')]);
            gather(('b', size), &mut sources, |(_, size)| *size)
        };
        let of = |batch: &[(char, usize)], name| batch.iter().filter(|(node, _)| *node == name).count();
        let small = gathered(300);
        assert_eq!((small.len(), of(&small, 'a')), (BATCH, BATCH / 2));
        let large = gathered(48_000);
        assert_eq!(
            (large.len(), of(&large, 'a')),
            (6, 3),
            "with the sixth there are 256 KiB and more"
        );
    }

    #[test]
    fn a_node_with_many_unknown_users_leaves_the_budget_of_another_alone() {
        let [thief, honest] = ["node-2", "node-1"].map(|id| id.parse().expect("a valid id"));
        let mut unknown = UnknownUsers::default();
        let admitted = (0..1_000).filter(|_| unknown.admit(&thief)).count();
        assert!((20..100).contains(&admitted), "{admitted}");
        assert!(unknown.admit(&honest));
    }
}
