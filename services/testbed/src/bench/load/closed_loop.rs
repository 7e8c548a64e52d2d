//! A number of clients work at the same time, each on one item after the other.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use super::Latencies;

/// Lets `clients` do `work` until `length` is over; work in progress is then finished and counted.
/// Failed work (`false`) is not counted.
pub(in crate::bench) async fn closed_loop<F, Fut>(clients: u16, length: Duration, work: F) -> anyhow::Result<Latencies>
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = bool> + Send + 'static,
{
    let work = Arc::new(work);
    let started = Instant::now();
    let mut running = JoinSet::new();
    for _ in 0..clients {
        let work = Arc::clone(&work);
        running.spawn(async move {
            let mut latencies = Latencies::default();
            while started.elapsed() < length {
                let began = Instant::now();
                if work().await {
                    latencies.record(began.elapsed());
                }
            }
            latencies
        });
    }
    let mut latencies = Latencies::default();
    while let Some(client) = running.join_next().await {
        latencies.add(&client?);
    }
    Ok(latencies)
}
