//! Each kind of warning at most once in 10 s, with a count: see [`LogLimit`]. A warning that somebody outside can cause needs one.

pub use vpnmanager_log_limit::{HeldBack, LogLimit, PERIOD, held_back};

use tracing::warn;

use crate::tasks::Tasks;

/// Starts the task that logs what limits held back when nothing of that kind came after it.
pub fn start(tasks: &Tasks) {
    let stop = tasks.token();
    tasks.spawn("log limits", async move {
        while stop.run_until_cancelled(tokio::time::sleep(PERIOD)).await.is_some() {
            report();
        }
        report();
        Ok(())
    });
}

fn report() {
    for HeldBack { what, times } in held_back() {
        warn!(what, times, "A warning was repeated");
    }
}
