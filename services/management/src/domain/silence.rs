//! Whether nodes fell silent for one reason.

use chrono::{DateTime, TimeDelta, Utc};

use crate::config::HealthConfig;

/// Nodes that fell silent together, so that the cause is likely not in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommonSilence {
    /// How many nodes; at least two.
    pub nodes: usize,
    /// Between the last heartbeat of the first and that of the last of them.
    pub within: TimeDelta,
}

/// Whether all nodes that were there fell silent together: nobody is heard, and at least two had their last heartbeat within
/// `HEALTH_STALE_AFTER` of each other. `last_seen`: of each node that was ever heard of; those that are silent for longer were lost before,
/// and count for nothing. Silence before `heard_since` does not count: management could not hear then.
pub fn common_silence(
    last_seen: &[DateTime<Utc>],
    heard_since: DateTime<Utc>,
    now: DateTime<Utc>,
    limits: HealthConfig,
) -> Option<CommonSilence> {
    let newest = *last_seen.iter().max()?;
    let stale_after = TimeDelta::from_std(limits.stale_after).ok()?;
    if now - newest.max(heard_since) <= stale_after {
        return None;
    }
    let together = last_seen.iter().filter(|at| newest - **at <= stale_after);
    let first = together.clone().min()?;
    let nodes = together.count();
    (nodes > 1).then(|| CommonSilence {
        nodes,
        within: newest - *first,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn silence_is_common_when_nobody_is_heard_and_at_least_two_ended_together() {
        let now = Utc::now();
        let ago = |seconds| now - TimeDelta::seconds(seconds);
        let limits = HealthConfig {
            stale_after: Duration::from_secs(15),
            ..HealthConfig::default()
        };
        // (what, seconds since each node was heard, seconds since management hears, nodes and seconds)
        type Case<'a> = (&'a str, &'a [i64], i64, Option<(usize, i64)>);
        let cases: [Case<'_>; 8] = [
            ("nobody was ever heard of", &[], 1000, None),
            ("all together", &[16, 18, 20], 1000, Some((3, 4))),
            ("one is still heard", &[15, 18, 20], 1000, None),
            ("one node alone", &[16], 1000, None),
            ("the last of those that died one by one", &[16, 100, 1000], 1000, None),
            ("those that are left", &[16, 18, 1000], 1000, Some((2, 2))),
            ("management could not hear", &[40, 41], 10, None),
            ("nobody since it hears again", &[40, 41], 16, Some((2, 1))),
        ];
        for (what, heard, hears, expected) in cases {
            let last_seen: Vec<_> = heard.iter().map(|seconds| ago(*seconds)).collect();
            let found = common_silence(&last_seen, ago(hears), now, limits);
            let found = found.map(|common| (common.nodes, common.within.num_seconds()));
            assert_eq!(found, expected, "{what}");
        }
    }
}
