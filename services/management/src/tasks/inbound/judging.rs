//! Judges users by the traffic that was just recorded.

use std::collections::BTreeSet;

use tracing::warn;
use vpnmanager_runtime::{contain::contain, log_limit::LogLimit};

use crate::{app::App, ops::quotas::follow_traffic::follow_traffic};

static FAILED: LogLimit = LogLimit::new("judging users by their traffic failed");

/// Refuses whoever of these users, to whose traffic something was added, is over the quota. When that fails, the next report of the session is
/// judged by; an agent sends one within seconds as long as there is traffic.
pub(super) async fn judge(app: &App, transferred: BTreeSet<i64>) {
    let users: Vec<i64> = transferred.into_iter().collect();
    // A panic was logged.
    let judged = contain("judging users by their traffic", follow_traffic(app, &users)).await;
    if let Ok(Err(error)) = judged
        && let Some(times) = FAILED.admit()
    {
        warn!(
            error = app.reach.explain_any(&error),
            users = users.len(),
            times,
            "Judging users by their traffic failed, they are judged with their next report"
        );
    }
}
