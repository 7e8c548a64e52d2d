//! Work offered on a fixed schedule, whether or not what came before is done.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use tokio::{runtime::Handle, task::JoinSet};

use super::Latencies;

/// Offers `work` at `rate` per second for `length`. Each is timed from the moment at which it was due, so that a stall
/// counts for all whom it kept waiting, and not only for the one that met it. What fails (`false`) is not timed.
pub(in crate::bench) async fn open_loop<F, Fut>(rate: u32, length: Duration, work: F) -> anyhow::Result<Latencies>
where
    F: Fn() -> Fut + Send + 'static,
    Fut: Future<Output = bool> + Send + 'static,
{
    let handle = Handle::current();
    // A thread of its own: the runtime's timer has a grain of a millisecond.
    let paced = tokio::task::spawn_blocking(move || {
        let mut offered = JoinSet::new();
        let started = Instant::now();
        let period = Duration::from_secs(1) / rate;
        let mut due = started;
        while due < started + length {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let (work, since) = (work(), due);
            offered.spawn_on(async move { work.await.then(|| since.elapsed()) }, &handle);
            due += period;
        }
        offered
    });
    let mut offered = paced.await.context("the pacing thread failed")?;
    let mut latencies = Latencies::default();
    while let Some(done) = offered.join_next().await {
        if let Some(took) = done? {
            latencies.record(took);
        }
    }
    Ok(latencies)
}
