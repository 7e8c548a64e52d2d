//! The task of profiles: a queue of its own, so that a delete never waits behind a signing outage.

use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use vpnmanager_nats::{delivery::Delivery, sign::MAX_REQUESTS};

use super::{
    acks::{Acks, Answered},
    serving::Readiness,
};
use crate::apply::{IssueOrder, IssueResult, Issuer};

/// Profiles that may wait; the server holds back the rest.
const QUEUE: usize = 2048;
/// Batches worked on at once: while one waits for its certificates the next makes its keys.
const CONCURRENT: usize = 4;

/// What the task needs.
#[derive(Debug, Clone)]
pub struct IssueTask {
    /// Makes them.
    pub issuer: Issuer,
    /// Answers.
    pub acks: Acks,
    /// Whether this node may speak: a certificate for the key of a clone would bar the node's own.
    pub readiness: Readiness,
}

/// One profile to make, with the command to answer when it is made.
#[derive(Debug)]
pub struct IssueJob {
    /// What to make.
    pub order: IssueOrder,
    /// The command; `None` when the order came by the local API.
    pub delivery: Option<Delivery>,
    /// The trace of what caused it.
    pub traceparent: Option<String>,
}

/// The way to the task. Cheap to clone.
#[derive(Debug, Clone)]
pub struct IssueQueue {
    sender: mpsc::Sender<IssueJob>,
}

/// The task's end of the queue.
pub type IssueJobs = mpsc::Receiver<IssueJob>;

impl IssueQueue {
    /// A queue and its end.
    pub fn new() -> (Self, IssueJobs) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Self { sender }, receiver)
    }

    /// Queues a job.
    pub async fn push(&self, job: IssueJob) {
        // Fails only while the process stops: the command is delivered again to the next run.
        let _stopping = self.sender.send(job).await;
    }
}

/// Runs until stopped: what is in hand is finished, the rest is handed back.
pub async fn run(task: IssueTask, mut jobs: IssueJobs, stop: CancellationToken) -> anyhow::Result<()> {
    let stopped = stop.clone();
    let batches = futures_util::stream::poll_fn(|cx| jobs.poll_recv(cx))
        .ready_chunks(MAX_REQUESTS)
        .take_until(stopped.cancelled());
    batches.for_each_concurrent(CONCURRENT, |batch| task.make(batch)).await;
    jobs.close();
    while let Some(job) = jobs.recv().await {
        task.give_up(job).await;
    }
    Ok(())
}

impl IssueTask {
    async fn make(&self, batch: Vec<IssueJob>) {
        if self.readiness.refusal().is_none() {
            return make(&self.issuer, &self.acks, batch).await;
        }
        for job in batch {
            self.give_up(job).await;
        }
    }

    /// Lets somebody else, or the next run, make it.
    async fn give_up(&self, job: IssueJob) {
        if let Some(delivery) = job.delivery {
            self.acks.hand_back(delivery, std::time::Duration::ZERO).await;
        }
    }
}

async fn make(issuer: &Issuer, acks: &Acks, batch: Vec<IssueJob>) {
    let orders = batch.iter().map(|job| job.order.clone()).collect();
    let mut results = issuer.issue(orders).await.into_iter();
    let mut answered = Vec::with_capacity(batch.len());
    let mut later = 0_usize;
    for IssueJob {
        order,
        delivery,
        traceparent,
    } in batch
    {
        match (results.next(), delivery) {
            (Some(IssueResult::Answered(outcome)), Some(delivery)) => answered.push(Answered {
                delivery,
                user_key: order.user_key,
                revision: order.revision,
                traceparent,
                outcome,
            }),
            (Some(IssueResult::Answered(_)), None) => {}
            (Some(IssueResult::Later(error)), delivery) => {
                if later == 0 {
                    let why = std::error::Error::source(&error)
                        .map(ToString::to_string)
                        .unwrap_or_default();
                    warn!(error = %error, source = why, "A profile is not made yet, trying again");
                }
                later += 1;
                hand_back(acks, delivery).await;
            }
            (None, delivery) => hand_back(acks, delivery).await,
        }
    }
    if later > 1 {
        info!(profiles = later, "Profiles that are not made yet come again");
    }
    if !answered.is_empty() {
        acks.answer(answered).await;
    }
}

/// Without a delivery the command of management, which comes as well, makes the profile.
async fn hand_back(acks: &Acks, delivery: Option<Delivery>) {
    if let Some(delivery) = delivery {
        acks.retry(delivery).await;
    }
}
