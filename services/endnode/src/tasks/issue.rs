//! Making profiles: a task of its own, so that a delete never waits for a signing outage.

use std::time::Duration;

use futures_util::StreamExt;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use vpnmanager_nats::{delivery::Delivery, sign::MAX_REQUESTS};
use vpnmanager_runtime::error_chain::chain;

use super::acks::{Acks, Answered};
use crate::{
    apply::{IssueResult, Issuer},
    coordination::{
        issue_queue::{IssueJob, IssueJobs},
        readiness::Readiness,
    },
};

/// Batches worked on at once: while one waits for its certificates the next makes its keys.
const CONCURRENT: usize = 4;

/// Makes profiles and answers the commands that wanted them.
#[derive(Debug, Clone)]
pub struct IssueTask {
    issuer: Issuer,
    acks: Acks,
    readiness: Readiness,
}

/// Makes profiles until stopped: what is in hand is finished, the rest is handed back.
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
    /// A refused node makes none: a certificate for the key of a clone would bar the node's own.
    pub fn new(issuer: Issuer, acks: Acks, readiness: Readiness) -> Self {
        Self {
            issuer,
            acks,
            readiness,
        }
    }

    async fn make(&self, batch: Vec<IssueJob>) {
        if self.readiness.refusal().is_none() {
            return make(&self.issuer, &self.acks, batch).await;
        }
        for job in batch {
            self.give_up(job).await;
        }
    }

    /// Leaves it to the next run, or to the other agent with this identity.
    async fn give_up(&self, job: IssueJob) {
        if let Some(delivery) = job.delivery {
            self.acks.hand_back(delivery, Duration::ZERO).await;
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
                    warn!(error = %chain(&error), "A profile is not made yet, trying again");
                }
                later += 1;
                hand_back(acks, delivery).await;
            }
            (None, delivery) => hand_back(acks, delivery).await,
        }
    }
    if later > 1 {
        info!(profiles = later, "More profiles are not made yet");
    }
    if !answered.is_empty() {
        acks.answer(answered).await;
    }
}

/// An order without a delivery needs nothing: management's command comes as well, and makes the profile.
async fn hand_back(acks: &Acks, delivery: Option<Delivery>) {
    if let Some(delivery) = delivery {
        acks.retry(delivery).await;
    }
}
