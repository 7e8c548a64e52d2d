//! Decides the state of a node from the content and the age of its heartbeats.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use vpnmanager_entities::server::NodeState;
use vpnmanager_nats::heartbeats::{Heartbeat, OpenvpnState};

use crate::config::HealthConfig;

/// A node that uses at least this share of its capacity is nearly full, in percent.
const NEARLY_FULL_PERCENT: u64 = 95;

/// What management knows of a node besides its heartbeat.
#[derive(Debug, Clone, Default)]
pub struct Circumstances {
    /// Whether a clone of the node is active.
    pub cloned: bool,
    /// Whether it is to get everything again, or gets it.
    pub resyncs: bool,
    /// Of what it sends more than its budget, for people.
    pub excess: Option<String>,
    /// What its agent is configured as, where management must not follow by itself, for people.
    pub misconfigured: Option<String>,
    /// The first heartbeat whose digest differed although nothing was pending.
    pub drift_since: Option<DateTime<Utc>>,
}

/// A state and the reason for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assessment {
    /// The state.
    pub state: NodeState,
    /// The reason, for people; `None` if the node is healthy and serves.
    pub reason: Option<String>,
}

/// What is said of a healthy node whose agent runs no OpenVPN. Another program may serve there by the allow-list.
pub const SERVES_NOBODY: &str = "it runs no OpenVPN (OPENVPN_MODE=none) and serves nobody itself: users are placed on it only while no other node of its pool runs OpenVPN";

/// The state of the node that sent this heartbeat.
pub fn assess(
    heartbeat: &Heartbeat,
    received_at: DateTime<Utc>,
    circumstances: &Circumstances,
    limits: HealthConfig,
) -> Assessment {
    let clone = circumstances
        .cloned
        .then(|| "a second agent speaks with its identity, and is refused".to_owned());
    // One differing heartbeat is not enough: it may be out of order.
    let drifts = circumstances.drift_since.is_some_and(|since| since < received_at);
    let drift = || drifts.then(|| "it holds something else than it should, and is being put right".to_owned());
    let resync = || circumstances.resyncs.then(|| "it gets everything again".to_owned());
    let found = clone
        .or_else(|| openvpn_fault(heartbeat))
        .or_else(|| heartbeat.fault.clone())
        .or_else(resync)
        .or_else(drift)
        .or_else(|| circumstances.excess.clone())
        .or_else(|| circumstances.misconfigured.clone())
        .or_else(|| clock_fault(heartbeat.at - received_at, limits.max_clock_skew))
        .or_else(|| shortage(heartbeat));
    match found {
        None => Assessment {
            state: NodeState::Healthy,
            reason: (heartbeat.openvpn.state == OpenvpnState::Absent).then(|| SERVES_NOBODY.to_owned()),
        },
        Some(reason) => Assessment {
            state: NodeState::Degraded,
            reason: Some(reason),
        },
    }
}

/// The state of a node whose last heartbeat arrived at `last_seen`; `None` while that is recent enough for the last assessment to stay.
/// Silence before `heard_since` does not count: management could not hear then.
pub fn by_age(
    last_seen: DateTime<Utc>,
    heard_since: DateTime<Utc>,
    now: DateTime<Utc>,
    limits: HealthConfig,
) -> Option<Assessment> {
    let age = (now - last_seen.max(heard_since)).to_std().unwrap_or_default();
    let state = if age > limits.lost_after {
        NodeState::Lost
    } else if age > limits.stale_after {
        NodeState::Stale
    } else {
        return None;
    };
    Some(Assessment {
        state,
        reason: Some(format!("no heartbeat since {}", last_seen.format("%Y-%m-%dT%H:%M:%SZ"))),
    })
}

fn openvpn_fault(heartbeat: &Heartbeat) -> Option<String> {
    let openvpn = &heartbeat.openvpn;
    let detail = |text: &str| match &openvpn.detail {
        Some(detail) => format!("{text}: {detail}"),
        None => text.to_owned(),
    };
    match openvpn.state {
        OpenvpnState::Down => Some(detail("OpenVPN is down")),
        OpenvpnState::Waiting => Some(detail("OpenVPN waits for a complete snapshot")),
        OpenvpnState::Up | OpenvpnState::Absent => None,
    }
}

fn clock_fault(skew: TimeDelta, most: Duration) -> Option<String> {
    let is_off = skew.abs().to_std().is_ok_and(|skew| skew > most);
    is_off.then(|| format!("its clock is off by {} ms", skew.num_milliseconds()))
}

fn shortage(heartbeat: &Heartbeat) -> Option<String> {
    let openvpn = &heartbeat.openvpn;
    let used = u64::from(openvpn.sessions) * 100;
    let is_nearly_full = openvpn.capacity > 0 && used >= u64::from(openvpn.capacity) * NEARLY_FULL_PERCENT;
    is_nearly_full.then(|| format!("{} of {} addresses are in use", openvpn.sessions, openvpn.capacity))
}

#[cfg(test)]
mod tests {
    use vpnmanager_nats::{heartbeats::OpenvpnHealth, ids::AgentInstance, sync::StateDigest};

    use super::*;

    fn limits() -> HealthConfig {
        HealthConfig {
            stale_after: Duration::from_secs(15),
            lost_after: Duration::from_secs(30),
            max_clock_skew: Duration::from_secs(2),
            ..HealthConfig::default()
        }
    }

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
            fault: None,
            certificate_expires_at: None,
        }
    }

    #[test]
    fn each_fault_degrades_and_says_why() {
        let well = heartbeat();
        let (nothing, now) = (Circumstances::default(), well.at);
        let cloned = Circumstances {
            cloned: true,
            ..nothing.clone()
        };
        let drifts_since = |at| Circumstances {
            drift_since: Some(at),
            ..Circumstances::default()
        };
        let noisy = Circumstances {
            excess: Some("it sends too many heartbeats".to_owned()),
            ..nothing.clone()
        };
        let healthy = Assessment {
            state: NodeState::Healthy,
            reason: None,
        };
        for known in [nothing.clone(), drifts_since(now)] {
            assert_eq!(assess(&well, now, &known, limits()), healthy, "{known:?}");
        }

        let mut absent = heartbeat();
        absent.openvpn.state = OpenvpnState::Absent;
        let idle = Assessment {
            state: NodeState::Healthy,
            reason: Some(SERVES_NOBODY.to_owned()),
        };
        assert_eq!(assess(&absent, now, &nothing, limits()), idle);

        let mut down = heartbeat();
        down.openvpn.state = OpenvpnState::Down;
        down.openvpn.detail = Some("killed".to_owned());
        let mut faulty = heartbeat();
        faulty.fault = Some("the disk of /state is almost full".to_owned());
        let mut full = heartbeat();
        full.openvpn.sessions = 95;
        let mut skewed = heartbeat();
        skewed.at = now - TimeDelta::seconds(3);
        let cases = [
            (&well, cloned, "a second agent speaks with its identity, and is refused"),
            (&down, nothing.clone(), "OpenVPN is down: killed"),
            (&faulty, nothing.clone(), "the disk of /state is almost full"),
            (
                &well,
                drifts_since(now - TimeDelta::seconds(5)),
                "it holds something else than it should, and is being put right",
            ),
            (&well, noisy, "it sends too many heartbeats"),
            (&skewed, nothing.clone(), "its clock is off by -3000 ms"),
            (&full, nothing, "95 of 100 addresses are in use"),
        ];
        for (heartbeat, known, reason) in cases {
            assert_eq!(
                assess(heartbeat, now, &known, limits()),
                Assessment {
                    state: NodeState::Degraded,
                    reason: Some(reason.to_owned())
                }
            );
        }
    }

    #[test]
    fn silence_makes_stale_then_lost() {
        let now = Utc::now();
        let ago = |seconds| now - TimeDelta::seconds(seconds);
        let long_ago = ago(1000);
        let state = |seconds| by_age(ago(seconds), long_ago, now, limits()).map(|found| found.state);
        assert_eq!(state(15), None);
        assert_eq!(state(16), Some(NodeState::Stale));
        assert_eq!(state(31), Some(NodeState::Lost));
        assert_eq!(state(-5), None);
        let heard_for = |seconds| by_age(long_ago, ago(seconds), now, limits()).map(|found| found.state);
        assert_eq!(heard_for(15), None, "management could not hear before");
        assert_eq!(heard_for(16), Some(NodeState::Stale));
        assert_eq!(heard_for(31), Some(NodeState::Lost));
    }
}
