//! Starts work on a fixed schedule, whether or not earlier work is finished.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use tokio::{runtime::Handle, task::JoinSet};

use super::Latencies;

/// Starts `work` `rate` times per second for `length`. Each is timed from the moment when it was due, so that a stall counts for all work
/// that it delayed and not only for one. Failed work (`false`) is not timed.
pub(in crate::bench) async fn open_loop<F, Fut>(rate: u32, length: Duration, work: F) -> anyhow::Result<Latencies>
where
    F: Fn() -> Fut + Send + 'static,
    Fut: Future<Output = bool> + Send + 'static,
{
    let handle = Handle::current();
    // A separate thread, because the runtime's timer is only exact to a millisecond.
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
