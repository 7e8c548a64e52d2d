//! Named background tasks that live and stop together.
//!
//! Two stages: *tasks* take work in (listeners, consumers, reconcilers) and stop first; *workers* (group commits) finish
//! what the tasks handed them and stop when no task is left.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use thiserror::Error;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, error, info, warn};

use crate::contain::message_of;
use crate::reconcile::{self, Reconciler, Schedule, Wake};
use crate::service_manager;

/// The tasks of a process. Cheap to clone; all clones are the same set.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    stopping: CancellationToken,
    draining: CancellationToken,
    tasks: TaskTracker,
    workers: TaskTracker,
    book: Mutex<Book>,
}

/// The tasks that run, and why the process ended; `None` after a normal shutdown.
#[derive(Debug, Default)]
struct Book {
    next: u64,
    running: BTreeMap<u64, String>,
    failure: Option<TaskFailure>,
}

/// A task that ended without being asked to.
#[derive(Debug, Error)]
#[error("task {name} {kind}")]
pub struct TaskFailure {
    /// The task's name.
    pub name: String,
    /// How it ended.
    kind: FailureKind,
    /// Its error, if it gave one.
    #[source]
    source: Option<FailureSource>,
}

/// The error that a task ended with.
#[derive(Debug, Error)]
#[error("{0:#}")]
struct FailureSource(anyhow::Error);

#[derive(Debug)]
enum FailureKind {
    Failed,
    Panicked(String),
    Returned,
}

/// Why the shutdown was not clean.
#[derive(Debug, Error)]
pub enum TasksError {
    /// A task died.
    #[error("stopped because of a dead task")]
    Died(#[source] TaskFailure),
    /// Some did not stop in time.
    #[error("not stopped within {}: {}", humantime::format_duration(*.timeout), .tasks.join(", "))]
    TimedOut {
        /// The time they had.
        timeout: Duration,
        /// Their names.
        tasks: Vec<String>,
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Lifetime {
    /// Until it is told to stop: to return earlier is a failure.
    Process,
    /// Until its work is done.
    Job,
}

impl Tasks {
    /// An empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancelled when the process is to stop: on a signal, [`Self::stop`], or a dead task.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.inner.stopping.clone()
    }

    /// Cancelled when all tasks have stopped and only workers are left: finish the queue and return.
    #[must_use]
    pub fn draining(&self) -> CancellationToken {
        self.inner.draining.clone()
    }

    /// Asks everything to stop.
    pub fn stop(&self) {
        self.inner.stopping.cancel();
    }

    /// Starts a task that lives until [`Self::token`] is cancelled. If it panics, fails or returns before that, everything stops and
    /// [`Self::wait`] gives the failure.
    pub fn spawn(&self, name: impl Into<String>, future: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        let watched = self.clone().watch(name.into(), Lifetime::Process, self.token(), future);
        self.inner.tasks.spawn(watched);
    }

    /// Starts a task that may return when its work is done. A panic or an error stops everything.
    pub fn spawn_job(
        &self,
        name: impl Into<String>,
        future: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        let watched = self.clone().watch(name.into(), Lifetime::Job, self.token(), future);
        self.inner.tasks.spawn(watched);
    }

    /// Starts a reconciler: it runs at once, when woken, and as `schedule` says: a duration is the period of [`Schedule::every`].
    pub fn reconcile(
        &self,
        name: &'static str,
        wake: &Wake,
        schedule: impl Into<Schedule>,
        reconciler: impl Reconciler + 'static,
    ) {
        let driven = reconcile::drive(name, reconciler, wake.clone(), schedule.into(), self.token());
        self.spawn(name, driven);
    }

    /// Starts a worker, which lives until [`Self::draining`] is cancelled and then finishes what is queued.
    pub fn spawn_worker(
        &self,
        name: impl Into<String>,
        future: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        let watched = self
            .clone()
            .watch(name.into(), Lifetime::Process, self.draining(), future);
        self.inner.workers.spawn(watched);
    }

    /// Starts a worker on a thread of its own, for a library that blocks. It must return when its input ends or [`Self::draining`]
    /// is cancelled.
    pub fn spawn_blocking_worker(
        &self,
        name: impl Into<String>,
        body: impl FnOnce() -> anyhow::Result<()> + Send + 'static,
    ) {
        let future = async move {
            match tokio::task::spawn_blocking(body).await {
                Ok(result) => result,
                Err(join) => match join.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    Err(cancelled) => Err(cancelled.into()),
                },
            }
        };
        let watched = self.clone().watch(name.into(), Lifetime::Job, self.draining(), future);
        self.inner.workers.spawn(watched);
    }

    /// Stops everything on SIGTERM or SIGINT, and tells systemd so.
    pub fn stop_on_signals(&self) -> std::io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let tasks = self.clone();
        self.spawn_job("signals", async move {
            let name = tokio::select! {
                name = received(&mut terminate, "SIGTERM") => name,
                name = received(&mut interrupt, "SIGINT") => name,
                () = tasks.inner.stopping.cancelled() => return Ok(()),
            };
            info!(signal = name, "Stopping");
            service_manager::stopping();
            tasks.stop();
            Ok(())
        });
        Ok(())
    }

    /// Waits for the wish to stop, then for the tasks, then for the workers, `timeout` for both together.
    ///
    /// # Errors
    /// [`TasksError::Died`] when a task's death was the reason, [`TasksError::TimedOut`] with the names of those still running.
    pub async fn wait(&self, timeout: Duration) -> Result<(), TasksError> {
        self.inner.stopping.cancelled().await;
        let deadline = Instant::now() + timeout;
        let stopped = tokio::time::timeout_at(deadline, async {
            self.inner.tasks.close();
            self.inner.tasks.wait().await;
            self.inner.draining.cancel();
            self.inner.workers.close();
            self.inner.workers.wait().await;
        })
        .await;
        self.inner.draining.cancel();
        let mut book = self.book();
        if let Some(failure) = book.failure.take() {
            return Err(TasksError::Died(failure));
        }
        match stopped {
            Ok(()) => Ok(()),
            Err(_elapsed) => Err(TasksError::TimedOut {
                timeout,
                tasks: book.running.values().cloned().collect(),
            }),
        }
    }

    async fn watch(
        self,
        name: String,
        lifetime: Lifetime,
        end: CancellationToken,
        future: impl Future<Output = anyhow::Result<()>> + Send,
    ) {
        let entry = self.enter(&name);
        debug!(task.name = name, "Task started");
        let outcome = AssertUnwindSafe(future).catch_unwind().await;
        self.book().running.remove(&entry);
        match (outcome, end.is_cancelled()) {
            (Ok(Ok(())), true) => debug!(task.name = name, "Task stopped"),
            (Ok(Ok(())), false) => match lifetime {
                Lifetime::Job => debug!(task.name = name, "Task done"),
                Lifetime::Process => self.fail(name, FailureKind::Returned, None),
            },
            (Ok(Err(error)), true) => warn!(
                task.name = name,
                error = format!("{error:#}"),
                "Task failed while stopping"
            ),
            (Ok(Err(error)), false) => self.fail(name, FailureKind::Failed, Some(error)),
            (Err(panic), _) => self.fail(name, FailureKind::Panicked(message_of(panic.as_ref())), None),
        }
    }

    fn enter(&self, name: &str) -> u64 {
        let mut book = self.book();
        book.next += 1;
        let entry = book.next;
        book.running.insert(entry, name.to_owned());
        entry
    }

    fn fail(&self, name: String, kind: FailureKind, error: Option<anyhow::Error>) {
        let reason = error.as_ref().map(|error| format!("{error:#}")).unwrap_or_default();
        error!(task.name = name, task.end = %kind, error = reason, "Task died, stopping the process");
        self.book().failure.get_or_insert(TaskFailure {
            name,
            kind,
            source: error.map(FailureSource),
        });
        self.inner.stopping.cancel();
    }

    /// A panic while the book is open leaves it as good as before.
    fn book(&self) -> MutexGuard<'_, Book> {
        self.inner.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed => f.write_str("failed"),
            Self::Panicked(message) => write!(f, "panicked: {message}"),
            Self::Returned => f.write_str("returned although nobody asked it to stop"),
        }
    }
}

async fn received(signal: &mut Signal, name: &'static str) -> &'static str {
    signal.recv().await;
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    /// A task that behaves.
    fn spawn_patient(tasks: &Tasks, name: &str) {
        let token = tasks.token();
        tasks.spawn(name, async move {
            token.cancelled().await;
            Ok(())
        });
    }

    #[tokio::test]
    async fn a_panic_stops_the_others_and_is_told_with_the_name() {
        let tasks = Tasks::new();
        spawn_patient(&tasks, "patient");
        tasks.spawn("acks", async { panic!("bad luck") });

        let error = tasks.wait(SOON).await.unwrap_err();

        let TasksError::Died(failure) = error else {
            panic!("{error}")
        };
        assert_eq!(failure.to_string(), "task acks panicked: bad luck");
    }

    #[tokio::test]
    async fn an_error_and_an_early_return_stop_the_process_and_a_finished_job_does_not() {
        for (outcome, expected) in [
            (Err(anyhow::anyhow!("no bus")), "task t failed"),
            (Ok(()), "task t returned"),
        ] {
            let tasks = Tasks::new();
            tasks.spawn_job("job", async { Ok(()) });
            tasks.spawn("t", async { outcome });

            let TasksError::Died(failure) = tasks.wait(SOON).await.unwrap_err() else {
                panic!("wrong error")
            };
            assert!(failure.to_string().starts_with(expected), "{failure}");
        }
    }

    #[tokio::test]
    async fn a_wish_to_stop_ends_cleanly() {
        let tasks = Tasks::new();
        spawn_patient(&tasks, "patient");
        tasks.stop();
        tasks.wait(SOON).await.unwrap();
    }

    #[tokio::test]
    async fn workers_stop_after_the_last_task() {
        let tasks = Tasks::new();
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let (stopping, draining) = (tasks.token(), tasks.draining());
        let task_says = sender.clone();
        tasks.spawn("task", async move {
            stopping.cancelled().await;
            tokio::task::yield_now().await;
            Ok(task_says.send("task")?)
        });
        tasks.spawn_worker("worker", async move {
            draining.cancelled().await;
            Ok(sender.send("worker")?)
        });
        tasks.stop();

        tasks.wait(SOON).await.unwrap();

        assert_eq!(
            [receiver.recv().await, receiver.recv().await],
            [Some("task"), Some("worker")]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_does_not_stop_in_time_is_named() {
        let tasks = Tasks::new();
        tasks.spawn("stubborn", std::future::pending());
        tasks.stop();

        let error = tasks.wait(SOON).await.unwrap_err();

        assert_eq!(error.to_string(), "not stopped within 5s: stubborn");
    }
}
