//! Says that something was put back.

use tracing::warn;
use vpnmanager_runtime::log_limit::LogLimit;

static PUT_BACK: LogLimit = LogLimit::lines("something of the pool's network was put back", 3);

/// Tells people that somebody else had changed this.
pub(super) fn put_back(what: &'static str) {
    if let Some(times) = PUT_BACK.admit() {
        warn!(
            what,
            times, "Something of the pool's network was changed by another hand, and is put back"
        );
    }
}
