//! Group commit: many callers, one commit.
//!
//! A worker takes all requests that queued up while it was busy with the batch before. There is no timer: a single caller does not
//! wait, and many callers share a commit. Where more queued up than a batch holds, senders come in turn: who sends one request does not wait
//! until all of somebody else's thousand are handled.

mod turns;

use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;

use thiserror::Error;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::error;

use turns::{Item, Queue};

use crate::contain::contain;
use crate::tasks::Tasks;

/// Submits requests to a group commit. Cheap to clone.
#[derive(Debug)]
pub struct Batcher<Req, Res> {
    queue: mpsc::Sender<Item<Req, Res>>,
}

/// The limits of the queue and of a batch.
#[derive(Debug, Clone, Copy)]
pub struct BatchLimits {
    /// The most requests in the queue, and as many again of which it is known whose turn is when; further callers wait in [`Batcher::submit`].
    pub queue: usize,
    /// The most requests in one batch.
    pub batch: usize,
    /// The number of batches that are handled at the same time.
    pub workers: usize,
}

/// The batcher has stopped, or its worker gave this request no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the process is stopping, or failed in the middle of it")]
pub struct Closed;

impl Default for BatchLimits {
    fn default() -> Self {
        Self {
            queue: 4096,
            batch: 200,
            workers: 1,
        }
    }
}

impl<Req, Res> Clone for Batcher<Req, Res> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
        }
    }
}

impl<Req, Res> Batcher<Req, Res>
where
    Req: Send + 'static,
    Res: Send + 'static,
{
    /// Starts the workers. `handle` gets 1 to `limits.batch` requests and returns one answer for each, in their order.
    ///
    /// At shutdown the workers answer everything that is queued once all tasks have stopped.
    pub fn start<F, Fut>(tasks: &Tasks, name: &str, limits: BatchLimits, handle: F) -> Self
    where
        F: Fn(Vec<Req>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Vec<Res>> + Send + 'static,
    {
        Self::start_in_turn(tasks, name, limits, |_request| ((), ()), handle)
    }

    /// The same, but senders come in turn: a batch has one request of each party before it has a second one of any, and one of each place of a
    /// party before a second one from any of its places. Those from one place stay in their order.
    pub fn start_in_turn<P, S, F, Fut>(
        tasks: &Tasks,
        name: &str,
        limits: BatchLimits,
        sender_of: fn(&Req) -> (P, S),
        handle: F,
    ) -> Self
    where
        P: Clone + Eq + Hash + Send + 'static,
        S: Clone + Eq + Hash + Send + 'static,
        F: Fn(Vec<Req>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Vec<Res>> + Send + 'static,
    {
        let (sender, receiver) = mpsc::channel(limits.queue.max(1));
        let queue = Arc::new(Mutex::new(Queue::new(receiver, sender_of, limits.queue.max(1))));
        for number in 0..limits.workers.max(1) {
            let (queue, handle, stop) = (queue.clone(), handle.clone(), tasks.draining());
            let most = limits.batch.max(1);
            tasks.spawn_worker(format!("{name}-{number}"), async move {
                while let Some(batch) = take(&queue, most, &stop).await {
                    // After a panic its callers are told, and the next batch is handled.
                    contain("handling a batch", work_off(batch, &handle)).await.ok();
                }
                // If the last caller is gone before the process stops, only the stop is left to wait for.
                stop.cancelled().await;
                Ok(())
            });
        }
        Self { queue: sender }
    }

    /// Queues a request and waits for its answer.
    ///
    /// If the caller stops waiting, the request is handled all the same.
    ///
    /// # Errors
    /// [`Closed`] when the process is stopping, or handling the batch panicked. The request may have been handled nevertheless.
    pub async fn submit(&self, request: Req) -> Result<Res, Closed> {
        let (answer, answered) = oneshot::channel();
        self.queue.send((request, answer)).await.map_err(|_returned| Closed)?;
        answered.await.map_err(|_dropped| Closed)
    }
}

/// Holds the queue only while it takes: another worker takes the next batch meanwhile.
async fn take<Req, Res, P: Clone + Eq + Hash, S: Clone + Eq + Hash>(
    queue: &Mutex<Queue<Req, Res, P, S>>,
    most: usize,
    stop: &CancellationToken,
) -> Option<Vec<Item<Req, Res>>> {
    queue.lock().await.take(most, stop).await
}

async fn work_off<Req, Res, F, Fut>(batch: Vec<Item<Req, Res>>, handle: &F)
where
    F: Fn(Vec<Req>) -> Fut,
    Fut: Future<Output = Vec<Res>>,
{
    let (requests, callers): (Vec<Req>, Vec<oneshot::Sender<Res>>) = batch.into_iter().unzip();
    let asked = callers.len();
    let answers = handle(requests).await;
    if answers.len() != asked {
        error!(
            batch.requests = asked,
            batch.answers = answers.len(),
            "A batch got the wrong number of answers"
        );
    }
    for (caller, answer) in callers.into_iter().zip(answers) {
        // A caller that left does not need its answer.
        let _gone = caller.send(answer);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex as StdMutex;
    use std::time::Duration;

    use futures_util::future::join_all;
    use tokio::sync::Semaphore;

    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn callers_that_queue_up_share_a_batch_and_each_gets_its_own_answer() {
        let tasks = Tasks::new();
        let sizes = Arc::new(StdMutex::new(Vec::new()));
        let seen = sizes.clone();
        let limits = BatchLimits {
            batch: 50,
            ..BatchLimits::default()
        };
        let batcher = Batcher::start(&tasks, "double", limits, move |numbers: Vec<u64>| {
            seen.lock().unwrap().push(numbers.len());
            async move { numbers.into_iter().map(|number| number * 2).collect() }
        });

        let answers = join_all((0..120).map(|number| batcher.submit(number))).await;

        let expected: Vec<_> = (0..120).map(|number| Ok(number * 2)).collect();
        assert_eq!(answers, expected);
        let sizes = sizes.lock().unwrap();
        assert_eq!(sizes.iter().sum::<usize>(), 120);
        assert!(sizes.len() < 20 && sizes.iter().all(|size| *size <= 50), "{sizes:?}");
    }

    #[tokio::test]
    async fn what_is_queued_at_shutdown_is_still_answered_and_later_requests_are_refused() {
        let tasks = Tasks::new();
        let gate = Arc::new(Semaphore::new(0));
        let waiting = gate.clone();
        let limits = BatchLimits {
            batch: 1,
            ..BatchLimits::default()
        };
        let batcher = Batcher::start(&tasks, "gated", limits, move |numbers: Vec<u64>| {
            let gate = waiting.clone();
            async move {
                gate.acquire().await.expect("never closed").forget();
                numbers
            }
        });
        let submitted = (0..3).map(|number| batcher.submit(number));
        let stop = async {
            tasks.stop();
            gate.add_permits(3);
            tasks.wait(SOON).await
        };

        let (answers, stopped) = tokio::join!(join_all(submitted), stop);

        stopped.unwrap();
        assert_eq!(answers, [Ok(0), Ok(1), Ok(2)]);
        assert_eq!(batcher.submit(4).await, Err(Closed));
    }

    #[tokio::test]
    async fn workers_whose_callers_are_gone_stay_until_the_process_stops() {
        let tasks = Tasks::new();
        let limits = BatchLimits {
            workers: 2,
            ..BatchLimits::default()
        };
        let batcher: Batcher<u64, u64> = Batcher::start(&tasks, "idle", limits, |numbers| async { numbers });
        assert_eq!(batcher.submit(1).await, Ok(1));

        drop(batcher);
        tokio::task::yield_now().await;
        tasks.stop();

        tasks.wait(SOON).await.unwrap();
    }

    #[tokio::test]
    async fn a_handler_that_panics_fails_its_callers_and_nobody_else() {
        let tasks = Tasks::new();
        let batcher = Batcher::start(&tasks, "odd", BatchLimits::default(), |numbers: Vec<u64>| async {
            assert!(!numbers.contains(&1), "one is odd");
            numbers
        });

        assert_eq!(batcher.submit(1).await, Err(Closed));
        assert_eq!(batcher.submit(2).await, Ok(2));
        tasks.stop();
        tasks.wait(SOON).await.unwrap();
    }
}
