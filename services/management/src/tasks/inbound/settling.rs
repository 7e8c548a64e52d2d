//! How reports are settled, once each.

use std::{error::Error, time::Duration};

use tracing::{debug, error};
use vpnmanager_nats::delivery::{Delivery, SettleError};
use vpnmanager_runtime::{error_chain::chain, log_limit::LogLimit};

/// Reports that could not be recorded are delivered again after this time.
pub(super) const RETRY_AFTER: Duration = Duration::from_millis(500);

/// After how long a report that could not be recorded is delivered again: longer each time, up to a minute, because the bus holds many of
/// them while PostgreSQL takes none.
pub(super) fn retry_after(delivery: &Delivery) -> Duration {
    const LONGEST: Duration = Duration::from_secs(60);
    let tries = u32::try_from(delivery.deliveries().clamp(1, 16)).unwrap_or(1);
    (RETRY_AFTER * 2_u32.pow(tries - 1)).min(LONGEST)
}

static UNRECORDABLE: LogLimit = LogLimit::lines("a report could not be recorded", 5);

/// Settles, or has the server deliver again.
pub(super) async fn settle(settled: impl Future<Output = Result<(), SettleError>>) {
    if let Err(error) = settled.await {
        debug!(error = %chain(&error), "Settling a report failed, it is delivered again");
    }
}

/// Returns two halves of a group in which one report is to blame, so that the others do not wait for it; a single report is given up.
pub(super) async fn halve_or_give_up<R: Into<Delivery>>(
    mut group: Vec<R>,
    why: &(dyn Error + Send + Sync + 'static),
) -> Vec<Vec<R>> {
    if group.len() > 1 {
        let second = group.split_off(group.len() / 2);
        return vec![second, group];
    }
    for report in group {
        let delivery: Delivery = report.into();
        if let Some(times) = UNRECORDABLE.admit() {
            error!(times, subject = delivery.subject(), sequence = delivery.sequence(), error = %chain(why), "Giving up a report that cannot be recorded");
        }
        settle(delivery.terminate()).await;
    }
    Vec::new()
}
