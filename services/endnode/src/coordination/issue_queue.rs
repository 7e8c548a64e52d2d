//! The profiles that are to be made.

use tokio::sync::mpsc;
use vpnmanager_nats::delivery::Delivery;

use crate::apply::IssueOrder;

/// Orders that may wait here; more commands stay in the stream.
const QUEUE: usize = 2048;

/// The profiles of one command, with the command to answer when they are made.
#[derive(Debug)]
pub struct IssueJob {
    /// What to make.
    pub order: IssueOrder,
    /// The command; `None` when the order came by the local API.
    pub delivery: Option<Delivery>,
    /// The trace of what caused it.
    pub traceparent: Option<String>,
}

/// The sending end of the queue. Cheap to clone.
#[derive(Debug, Clone)]
pub struct IssueQueue {
    sender: mpsc::Sender<IssueJob>,
}

/// The task's end.
pub type IssueJobs = mpsc::Receiver<IssueJob>;

impl IssueQueue {
    /// A queue and its end.
    pub fn new() -> (Self, IssueJobs) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Self { sender }, receiver)
    }

    /// Queues a job if there is room. The stream brings its command anyway.
    pub fn offer(&self, job: IssueJob) {
        let _full = self.sender.try_send(job);
    }

    /// Queues a job.
    pub async fn push(&self, job: IssueJob) {
        // Fails only while the process stops: the command is delivered again to the next run.
        let _stopping = self.sender.send(job).await;
    }
}
