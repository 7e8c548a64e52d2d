//! How patient the managements of a run are. Their defaults are longer than a run.

use std::time::Duration;

/// `HEARTBEAT_INTERVAL`.
const HEARTBEAT: &str = "1s";
/// `HEALTH_STALE_AFTER`.
const STALE_AFTER: &str = "5s";
/// `HEALTH_LOST_AFTER`: longer than one fault of a node, and shorter than two in a row.
pub(super) const LOST_AFTER: Duration = Duration::from_secs(10);
/// `HEALTH_REHOME_AFTER`, counted from when a node is lost.
pub(super) const REHOME_AFTER: Duration = Duration::from_secs(10);
/// A long outage of the bus: as long as it takes until users would get another home, and some seconds more.
pub(super) const OUTAGE: Duration = Duration::from_secs(24);

/// The settings of the managements.
pub(super) fn of_management() -> Vec<(String, String)> {
    settings([
        ("HEALTH_STALE_AFTER", STALE_AFTER.to_owned()),
        ("HEALTH_LOST_AFTER", text(LOST_AFTER)),
        ("HEALTH_REHOME_AFTER", text(REHOME_AFTER)),
    ])
}

/// The settings of the nodes.
pub(super) fn of_nodes() -> Vec<(String, String)> {
    settings([("HEARTBEAT_INTERVAL", HEARTBEAT.to_owned())])
}

fn text(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

fn settings<const MANY: usize>(pairs: [(&str, String); MANY]) -> Vec<(String, String)> {
    pairs.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_outage_is_longer_than_all_patience() {
        assert!(OUTAGE > LOST_AFTER + REHOME_AFTER);
    }
}
