//! Records reports of sessions beside the acks and events: no ack waits for a transaction of the history.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tracing::warn;
use vpnmanager_nats::{delivery::Delivery, ids::NodeId, sessions::SessionReport};
use vpnmanager_runtime::{contain::contain, log_limit::LogLimit};

use super::{
    judging::judge,
    settling::{halve_or_give_up, retry_after, settle},
};
use crate::{
    app::App,
    domain::session_room::SessionRoom,
    ops::{sessions::record_sessions::record_sessions, sqlstate::meaning},
};

/// Reports that may wait in all. Others are delivered again later.
const WAITING: usize = 4096;
/// Reports of one node that may wait: those of another one wait behind so many at most.
const SEATS: usize = 64;
/// The most reports in one transaction; each has up to 50 sessions.
const BATCH: usize = 20;
/// A report with sessions for which there is no room comes again after this time. At most 2,048 of a node wait on the bus, and its other
/// reports behind them: each node has a stream of its own, so nobody else's do.
const NO_ROOM_RETRY_AFTER: Duration = Duration::from_secs(30);

static FAILED: LogLimit = LogLimit::new("recording sessions failed");

async fn put_off(delivery: Delivery) {
    let after = retry_after(&delivery);
    settle(delivery.retry(after)).await;
}

/// A report that waits, on a seat of its node.
#[derive(Debug)]
pub(super) struct Waiting {
    delivery: Delivery,
    report: SessionReport,
    _seat: OwnedSemaphorePermit,
}

impl From<Waiting> for Delivery {
    fn from(waiting: Waiting) -> Self {
        waiting.delivery
    }
}

/// Where reports of sessions wait to be recorded.
#[derive(Debug)]
pub(super) struct SessionReports {
    queue: mpsc::Sender<Waiting>,
    seats: HashMap<NodeId, Arc<Semaphore>>,
}

impl SessionReports {
    /// A queue and its end, for [`run`].
    pub(super) fn new() -> (Self, mpsc::Receiver<Waiting>) {
        let (queue, waiting) = mpsc::channel(WAITING);
        let seats = HashMap::new();
        (Self { queue, seats }, waiting)
    }

    /// Has a report recorded. One for which there is no place is delivered again later.
    pub(super) async fn take(&mut self, delivery: Delivery, report: SessionReport) {
        let fresh = || Arc::new(Semaphore::new(SEATS));
        let seats = self.seats.entry(report.node.clone()).or_insert_with(fresh);
        let seat = Arc::clone(seats).try_acquire_owned();
        match (seat, self.queue.try_reserve()) {
            (Ok(seat), Ok(place)) => place.send(Waiting {
                delivery,
                report,
                _seat: seat,
            }),
            (Err(_), _) | (_, Err(_)) => put_off(delivery).await,
        }
    }
}

/// Records what waits until the queue ends.
pub(super) async fn run(app: &App, mut waiting: mpsc::Receiver<Waiting>) {
    let mut room = SessionRoom::default();
    while let Some(first) = waiting.recv().await {
        let mut group = vec![first];
        while group.len() < BATCH
            && let Ok(next) = waiting.try_recv()
        {
            group.push(next);
        }
        let mut groups = vec![group];
        while let Some(group) = groups.pop() {
            groups.extend(record(app, &mut room, group).await);
        }
    }
}

/// Records a group in one transaction. If the database rejects one of its reports, returns the group in two halves. Returns nothing when the
/// group is done.
async fn record(app: &App, room: &mut SessionRoom, group: Vec<Waiting>) -> Vec<Vec<Waiting>> {
    let reports: Vec<SessionReport> = group.iter().map(|waiting| waiting.report.clone()).collect();
    match contain("recording sessions", record_sessions(&app.db, room, &reports)).await {
        Ok(Ok(recorded)) => {
            app.newly_connected.note(recorded.connected);
            app.figures.work.begun(recorded.begun);
            let settled = group.into_iter().enumerate().map(|(place, waiting)| {
                let comes_again = recorded.come_again.contains(&place);
                async move {
                    if comes_again {
                        settle(waiting.delivery.retry(NO_ROOM_RETRY_AFTER)).await;
                    } else {
                        settle(waiting.delivery.done()).await;
                    }
                }
            });
            join_all(settled).await;
            judge(app, recorded.transferred).await;
        }
        Ok(Err(error)) if meaning(&error).is_about_data() => return halve_or_give_up(group, &error).await,
        Err(panicked) => return halve_or_give_up(group, &panicked).await,
        Ok(Err(error)) => {
            if let Some(times) = FAILED.admit() {
                warn!(
                    error = app.reach.explain_any(&error),
                    reports = group.len(),
                    times,
                    "Recording sessions failed, they are delivered again"
                );
            }
            join_all(group.into_iter().map(|waiting| put_off(waiting.delivery))).await;
        }
    }
    Vec::new()
}
