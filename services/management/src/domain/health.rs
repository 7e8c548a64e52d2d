//! How a node is, from the content and the age of its heartbeats.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use vpnmanager_entities::server::NodeState;
use vpnmanager_nats::heartbeats::{Heartbeat, OpenvpnState};

/// More than this and a node's clock is called wrong.
pub const MAX_CLOCK_SKEW: TimeDelta = TimeDelta::seconds(2);
/// From this share of its capacity on a node is called nearly full, in percent.
const NEARLY_FULL_PERCENT: u64 = 95;

/// After how long without a heartbeat a node is called stale, then lost.
#[derive(Debug, Clone, Copy)]
pub struct Thresholds {
    /// Longer than this: stale.
    pub stale_after: Duration,
    /// Longer than this: lost.
    pub lost_after: Duration,
}

/// A state with its reason in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assessment {
    /// The state.
    pub state: NodeState,
    /// Why; `None` when all is well.
    pub reason: Option<String>,
}

/// How a node is that just sent this heartbeat; `cloned` when a clone of it speaks too.
pub fn assess(heartbeat: &Heartbeat, received_at: DateTime<Utc>, cloned: bool) -> Assessment {
    let clone = cloned.then(|| "a second agent speaks with its identity, and is refused".to_owned());
    match clone.or_else(|| fault(heartbeat, received_at)) {
        None => Assessment {
            state: NodeState::Healthy,
            reason: None,
        },
        Some(reason) => Assessment {
            state: NodeState::Degraded,
            reason: Some(reason),
        },
    }
}

/// How a node is that was last heard of at `last_seen`; `None` while its last assessment stands.
pub fn by_age(last_seen: DateTime<Utc>, now: DateTime<Utc>, thresholds: Thresholds) -> Option<Assessment> {
    let age = (now - last_seen).to_std().unwrap_or_default();
    let state = if age > thresholds.lost_after {
        NodeState::Lost
    } else if age > thresholds.stale_after {
        NodeState::Stale
    } else {
        return None;
    };
    Some(Assessment {
        state,
        reason: Some(format!("no heartbeat since {}", last_seen.format("%Y-%m-%dT%H:%M:%SZ"))),
    })
}

fn fault(heartbeat: &Heartbeat, received_at: DateTime<Utc>) -> Option<String> {
    let openvpn = &heartbeat.openvpn;
    let detail = |text: &str| match &openvpn.detail {
        Some(detail) => format!("{text}: {detail}"),
        None => text.to_owned(),
    };
    match openvpn.state {
        OpenvpnState::Down => return Some(detail("OpenVPN is down")),
        OpenvpnState::Waiting => return Some(detail("OpenVPN waits for a complete snapshot")),
        OpenvpnState::Up | OpenvpnState::Absent => {}
    }
    let skew = heartbeat.at - received_at;
    if skew.abs() > MAX_CLOCK_SKEW {
        return Some(format!("its clock is off by {} ms", skew.num_milliseconds()));
    }
    let used = u64::from(openvpn.sessions) * 100;
    if openvpn.capacity > 0 && used >= u64::from(openvpn.capacity) * NEARLY_FULL_PERCENT {
        return Some(format!(
            "{} of {} addresses are in use",
            openvpn.sessions, openvpn.capacity
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use vpnmanager_nats::{heartbeats::OpenvpnHealth, ids::AgentInstance, sync::StateDigest};

    use super::*;

    fn heartbeat() -> Heartbeat {
        Heartbeat {
            node: "node-1".parse().expect("a valid id"),
            instance: AgentInstance::new(),
            at: Utc::now(),
            agent_version: "0.1.0".to_owned(),
            uptime_seconds: 1,
            openvpn: OpenvpnHealth {
                state: OpenvpnState::Up,
                pid: Some(1),
                version: None,
                sessions: 0,
                capacity: 100,
                bytes_in: 0,
                bytes_out: 0,
                detail: None,
            },
            users: 0,
            digest: StateDigest::default(),
            last_sequence: 0,
            complete: true,
            queued_intents: 0,
            draining: false,
            disk_free_bytes: None,
            certificate_expires_at: None,
        }
    }

    #[test]
    fn each_fault_degrades_and_says_why() {
        let well = heartbeat();
        assert_eq!(
            assess(&well, well.at, false),
            Assessment {
                state: NodeState::Healthy,
                reason: None
            }
        );

        let mut down = heartbeat();
        down.openvpn.state = OpenvpnState::Down;
        down.openvpn.detail = Some("killed".to_owned());
        let mut full = heartbeat();
        full.openvpn.sessions = 95;
        let skewed = heartbeat();
        let cases = [
            (
                assess(&well, well.at, true),
                "a second agent speaks with its identity, and is refused",
            ),
            (assess(&down, down.at, false), "OpenVPN is down: killed"),
            (assess(&full, full.at, false), "95 of 100 addresses are in use"),
            (
                assess(&skewed, skewed.at + TimeDelta::seconds(3), false),
                "its clock is off by -3000 ms",
            ),
        ];
        for (found, reason) in cases {
            assert_eq!(
                found,
                Assessment {
                    state: NodeState::Degraded,
                    reason: Some(reason.to_owned())
                }
            );
        }
    }

    #[test]
    fn silence_makes_stale_then_lost() {
        let thresholds = Thresholds {
            stale_after: Duration::from_secs(15),
            lost_after: Duration::from_secs(30),
        };
        let now = Utc::now();
        let state = |seconds| by_age(now - TimeDelta::seconds(seconds), now, thresholds).map(|found| found.state);
        assert_eq!(state(15), None);
        assert_eq!(state(16), Some(NodeState::Stale));
        assert_eq!(state(31), Some(NodeState::Lost));
        assert_eq!(state(-5), None);
    }
}
