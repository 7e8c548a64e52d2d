//! The driver of level-triggered reconcilers: woken or not, they run every period and find out themselves what is to do.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::{
    backoff::{Backoff, jittered},
    contain::contain,
};

/// Brings the world nearer to what should be. Takes no input and may run at any time, any number of times.
///
/// A closure that starts an async operation is one too; an operation that gives `()` has nothing left to do.
pub trait Reconciler: Send {
    /// One run. The driver logs an error once for each change of state, and repeats the run, also after a panic.
    fn reconcile(&mut self) -> impl Future<Output = anyhow::Result<Next>> + Send;
}

impl<Operation, Run, Left, Error> Reconciler for Operation
where
    Operation: FnMut() -> Run + Send,
    Run: Future<Output = Result<Left, Error>> + Send,
    Left: Into<Next>,
    Error: Into<anyhow::Error>,
{
    async fn reconcile(&mut self) -> anyhow::Result<Next> {
        self().await.map(Into::into).map_err(Into::into)
    }
}

/// What a successful run says about the work left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// All done: sleep until woken or until the period is over.
    Idle,
    /// It took as much as it takes at once, and there is more: run again now.
    Again,
    /// Something is due at a known time before the period is over.
    After(Duration),
}

impl From<()> for Next {
    fn from((): ()) -> Self {
        Self::Idle
    }
}

/// Shortens a reconciler's wait. Cheap to clone; wakes that come during a run are remembered as one.
#[derive(Debug, Clone, Default)]
pub struct Wake {
    notify: Arc<Notify>,
}

/// When a reconciler runs if nobody wakes it.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    /// Between two runs; each wait is 0.9 to 1.1 of it, so that replicas do not run in step.
    pub period: Duration,
    /// The wait after failures.
    pub backoff: Backoff,
}

impl Wake {
    /// A new handle; give clones of it to whoever makes work.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Says that there may be something to do.
    pub fn wake(&self) {
        self.notify.notify_one();
    }

    /// Waits for a wake (or one that came earlier and was not taken).
    pub async fn woken(&self) {
        self.notify.notified().await;
    }
}

impl Schedule {
    /// Every `period`; failures are repeated after 200 ms, doubling to the period or 30 s, whichever is shorter.
    #[must_use]
    pub fn every(period: Duration) -> Self {
        let longest = period.min(Duration::from_secs(30));
        Self {
            period,
            backoff: Backoff::new(Duration::from_millis(200).min(longest), longest),
        }
    }
}

impl From<Duration> for Schedule {
    fn from(period: Duration) -> Self {
        Self::every(period)
    }
}

/// Runs a reconciler until `stop` is cancelled; a run in progress is finished first. The first run is at once.
///
/// # Errors
/// None: failures of the reconciler are logged and repeated. The type fits [`Tasks::spawn`](crate::tasks::Tasks::spawn).
pub async fn drive<R: Reconciler>(
    name: &str,
    mut reconciler: R,
    wake: Wake,
    schedule: Schedule,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut failures = 0_u32;
    while !stop.is_cancelled() {
        let run = contain("a run of a reconciler", reconciler.reconcile()).await;
        let wait = match run.unwrap_or_else(|panicked| Err(panicked.into())) {
            Ok(next) => {
                if failures > 0 {
                    info!(
                        reconciler.name = name,
                        reconciler.failures = failures,
                        "Reconciler recovered"
                    );
                }
                failures = 0;
                match next {
                    Next::Again => continue,
                    Next::Idle => jittered(schedule.period),
                    Next::After(due) => due.min(schedule.period),
                }
            }
            Err(error) => {
                failures = failures.saturating_add(1);
                log_failure(name, &error, failures);
                let wait = jittered(schedule.backoff.after(failures));
                // A wake does not shorten a backoff: what failed a moment ago is asked to wait.
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = stop.cancelled() => {}
                }
                continue;
            }
        };
        tokio::select! {
            () = wake.woken() => {}
            () = tokio::time::sleep(wait) => {}
            () = stop.cancelled() => {}
        }
    }
    Ok(())
}

/// Loud at the first of a row of failures, quiet until it recovers.
fn log_failure(name: &str, error: &anyhow::Error, failures: u32) {
    let error = format!("{error:#}");
    if failures == 1 {
        warn!(reconciler.name = name, error, "Reconciler failed, repeating");
    } else {
        debug!(
            reconciler.name = name,
            reconciler.failures = failures,
            error,
            "Reconciler failed again"
        );
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
    use tokio::time::Instant;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    struct Scripted {
        answers: Vec<Result<Next, &'static str>>,
        runs: UnboundedSender<Instant>,
    }

    impl Reconciler for Scripted {
        async fn reconcile(&mut self) -> anyhow::Result<Next> {
            self.runs.send(Instant::now()).unwrap();
            if self.answers.is_empty() {
                Ok(Next::Idle)
            } else {
                self.answers.remove(0).map_err(anyhow::Error::msg)
            }
        }
    }

    fn start(answers: Vec<Result<Next, &'static str>>) -> (crate::tasks::Tasks, Wake, UnboundedReceiver<Instant>) {
        let (runs, seen) = unbounded_channel();
        let (tasks, wake) = (crate::tasks::Tasks::new(), Wake::new());
        let reconciler = Scripted { answers, runs };
        let future = drive(
            "scripted",
            reconciler,
            wake.clone(),
            Schedule::every(HOUR),
            tasks.token(),
        );
        tasks.spawn("scripted", future);
        (tasks, wake, seen)
    }

    #[tokio::test(start_paused = true)]
    async fn it_runs_at_once_then_when_woken_then_every_period() {
        let (tasks, wake, mut runs) = start(vec![]);
        let first = runs.recv().await.unwrap();
        wake.wake();
        let woken = runs.recv().await.unwrap();
        assert_eq!(woken - first, Duration::ZERO);

        let periodic = runs.recv().await.unwrap() - woken;
        assert!(
            periodic >= HOUR.mul_f64(0.9) && periodic <= HOUR.mul_f64(1.11),
            "{periodic:?}"
        );

        tasks.stop();
        tasks.wait(HOUR).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_closure_is_started_by_the_tasks_and_runs_when_woken() {
        let (tasks, wake) = (crate::tasks::Tasks::new(), Wake::new());
        let (runs, mut seen) = unbounded_channel();
        tasks.reconcile("counted", &wake, HOUR, move || {
            let sent = runs.send(Instant::now());
            async move { sent }
        });
        let first = seen.recv().await.unwrap();
        wake.wake();
        assert_eq!(seen.recv().await.unwrap(), first);
        tasks.stop();
        tasks.wait(HOUR).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_is_a_failure_and_the_next_run_comes() {
        let (tasks, wake) = (crate::tasks::Tasks::new(), Wake::new());
        let (runs, mut seen) = unbounded_channel();
        let mut numbers = 1..;
        tasks.reconcile("panicking once", &wake, HOUR, move || {
            let (number, runs) = (numbers.next(), runs.clone());
            async move {
                assert_ne!(number, Some(1), "the first run panics");
                runs.send(number)
            }
        });
        assert_eq!(seen.recv().await.unwrap(), Some(2));
        tasks.stop();
        tasks.wait(HOUR).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_repeated_after_a_growing_backoff_that_a_wake_does_not_shorten() {
        let (_tasks, wake, mut runs) = start(vec![Err("away"), Err("away"), Ok(Next::Again)]);
        wake.wake();
        let first = runs.recv().await.unwrap();
        let second = runs.recv().await.unwrap();
        let third = runs.recv().await.unwrap();
        assert!(second - first >= Duration::from_millis(180), "{:?}", second - first);
        assert!(third - second >= Duration::from_millis(360), "{:?}", third - second);

        let again = runs.recv().await.unwrap();
        assert_eq!(again, third);
    }
}
