//! Making profiles: a task of its own, so that a delete never waits for a signing outage.

use std::time::Duration;

use futures_util::StreamExt;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use vpnmanager_nats::{delivery::Delivery, sign::MAX_REQUESTS};
use vpnmanager_runtime::error_chain::chain;

use super::acks::{Acks, Answered, Failure};
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
        if self.readiness.refusal().is_some() {
            for job in batch {
                self.give_up(job).await;
            }
            return;
        }
        let orders = batch.iter().map(|job| job.order.clone()).collect();
        let results = self.issuer.issue(orders).await;
        self.answer(batch, results).await;
    }

    /// The results stand in the order of their jobs; one that is missing counts as not made yet.
    async fn answer(&self, batch: Vec<IssueJob>, results: Vec<IssueResult>) {
        let mut results = results.into_iter();
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
                    outcome: order.noted(outcome),
                    failure: Failure::Passing,
                }),
                (Some(IssueResult::Answered(_)), None) => {}
                (Some(IssueResult::Later(error)), delivery) => {
                    if later == 0 {
                        warn!(error = %chain(&error), "A profile is not made yet, trying again");
                    }
                    later += 1;
                    self.retry(delivery).await;
                }
                (None, delivery) => self.retry(delivery).await,
            }
        }
        if later > 1 {
            info!(
                commands = later,
                "Profiles are not made yet; their commands are delivered again"
            );
        }
        if !answered.is_empty() {
            self.acks.answer(answered).await;
        }
    }

    /// An order without a delivery needs nothing: management's command comes as well, and makes the profile.
    async fn retry(&self, delivery: Option<Delivery>) {
        if let Some(delivery) = delivery {
            self.acks.retry(delivery).await;
        }
    }

    /// Leaves it to the next run, or to the other agent with this identity.
    async fn give_up(&self, job: IssueJob) {
        if let Some(delivery) = job.delivery {
            self.acks.hand_back(delivery, Duration::ZERO).await;
        }
    }
}
