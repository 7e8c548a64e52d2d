//! Decides the state of a node from the content and the age of its heartbeats.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use vpnmanager_entities::server::NodeState;
use vpnmanager_nats::heartbeats::{Heartbeat, OpenvpnState};

use crate::{config::HealthConfig, domain::shown_time::shown_time};

/// A heartbeat that is late makes a clock look slow, and never fast: only what all of them show for so long counts as slow.
const HELD_UP: TimeDelta = TimeDelta::seconds(15);

/// So long before its server certificate ends a node says so.
const ENDS_SOON: TimeDelta = TimeDelta::days(30);
/// So long before, it is degraded.
const ENDS_NOW: TimeDelta = TimeDelta::days(3);

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
    /// The first of the heartbeats that have all come late, this one too.
    pub late_since: Option<DateTime<Utc>>,
    /// That its agent is too old for what its users need, for people. It serves all others.
    pub outdated: Option<String>,
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
pub const SERVES_NOBODY: &str = "it runs no OpenVPN (OPENVPN_MODE=none) and serves nobody itself: users are placed on it only while no other node of its pool runs OpenVPN; set OPENVPN_MODE there if it should serve";

const SECOND_AGENT: &str =
    "a second agent speaks with its identity, and is refused: stop the agent whose STATE_DIR is the copy";
const DRIFTS: &str =
    "it holds something else than it should, and is being put right: wait; if it stays so, see the agent's log";
const RESYNCS: &str = "it gets everything again: wait; if it stays so, see the agent's log";
/// Follows what a node sends too much of.
const TOO_MUCH: &str = ": raise that BUDGET_* if you know why, else treat the node as stolen";

/// The state of the node that sent this heartbeat.
pub fn assess(
    heartbeat: &Heartbeat,
    received_at: DateTime<Utc>,
    circumstances: &Circumstances,
    limits: HealthConfig,
) -> Assessment {
    let clone = circumstances.cloned.then(|| SECOND_AGENT.to_owned());
    // One differing heartbeat is not enough: it may be out of order.
    let drifts = circumstances.drift_since.is_some_and(|since| since < received_at);
    let drift = || drifts.then(|| DRIFTS.to_owned());
    let resync = || circumstances.resyncs.then(|| RESYNCS.to_owned());
    let found = clone
        .or_else(|| openvpn_fault(heartbeat))
        .or_else(|| heartbeat.fault.clone())
        .or_else(resync)
        .or_else(drift)
        .or_else(|| circumstances.excess.as_ref().map(|what| format!("{what}{TOO_MUCH}")))
        .or_else(|| circumstances.misconfigured.clone())
        .or_else(|| {
            let is_held_up = circumstances
                .late_since
                .is_some_and(|since| received_at - since < HELD_UP);
            let fault = clock_fault(heartbeat.at - received_at, limits.max_clock_skew);
            fault.filter(|_| !is_held_up)
        })
        .or_else(|| certificate_fault(heartbeat, received_at, ENDS_NOW))
        .or_else(|| shortage(heartbeat));
    match found {
        None => Assessment {
            state: NodeState::Healthy,
            reason: circumstances
                .outdated
                .clone()
                .or_else(|| certificate_fault(heartbeat, received_at, ENDS_SOON))
                .or_else(|| (heartbeat.openvpn.state == OpenvpnState::Absent).then(|| SERVES_NOBODY.to_owned())),
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
        reason: Some(format!(
            "no heartbeat since {}: see that its agent runs and reaches the bus; the agent's log says why it does not",
            shown_time(last_seen)
        )),
    })
}

fn openvpn_fault(heartbeat: &Heartbeat) -> Option<String> {
    let openvpn = &heartbeat.openvpn;
    let detail = |text: &str, action: &str| match &openvpn.detail {
        Some(detail) => format!("{text}: {detail}; {action}"),
        None => format!("{text}; {action}"),
    };
    match openvpn.state {
        OpenvpnState::Down => Some(detail(
            "OpenVPN is down",
            "the agent starts it again, unless you run it yourself; if it stays so, see its log on the node",
        )),
        OpenvpnState::Waiting => Some(detail(
            "OpenVPN waits for a complete snapshot",
            "it comes by itself; if it stays so, see the agent's log",
        )),
        OpenvpnState::Up | OpenvpnState::Absent => None,
    }
}

/// The first of the heartbeats that have all come late, with one that came at this moment with a clock that is ahead by so much.
pub fn late_since(
    skew: TimeDelta,
    before: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
    limits: HealthConfig,
) -> Option<DateTime<Utc>> {
    let is_late = skew < TimeDelta::zero() && is_off(skew, limits.max_clock_skew);
    is_late.then(|| before.unwrap_or(now))
}

fn is_off(skew: TimeDelta, most: Duration) -> bool {
    skew.abs().to_std().is_ok_and(|skew| skew > most)
}

fn clock_fault(skew: TimeDelta, most: Duration) -> Option<String> {
    is_off(skew, most).then(|| {
        format!(
            "its clock is off by {} ms: set it, and run a time service there. If all nodes say so, it is the clock of the database's machine",
            skew.num_milliseconds()
        )
    })
}

/// What is to be done about a server certificate that ends within this time, or has ended.
fn certificate_fault(heartbeat: &Heartbeat, now: DateTime<Utc>, within: TimeDelta) -> Option<String> {
    let end = heartbeat.certificate_expires_at?;
    let left = end.signed_duration_since(now);
    let (tense, effect) = if left > TimeDelta::zero() {
        ("ends", "then no client connects")
    } else {
        ("has ended", "no client connects any more")
    };
    (left < within).then(|| {
        format!(
            "its server certificate {tense} at {}, and {effect}: enrol it again with the keys that it has, and let its OpenVPN start again",
            shown_time(end)
        )
    })
}

fn shortage(heartbeat: &Heartbeat) -> Option<String> {
    let openvpn = &heartbeat.openvpn;
    let used = u64::from(openvpn.sessions) * 100;
    let is_nearly_full = openvpn.capacity > 0 && used >= u64::from(openvpn.capacity) * NEARLY_FULL_PERCENT;
    is_nearly_full.then(|| {
        format!(
            "{} of {} addresses are in use: add a node to its pool, or raise OPENVPN_MAX_CLIENTS and OPENVPN_NETWORK there",
            openvpn.sessions, openvpn.capacity
        )
    })
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
            network: None,
            groups: None,
        }
    }

    #[test]
    fn each_fault_degrades_and_says_why_and_what_to_do() {
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
            excess: Some("it sends too many heartbeats: 5 were dropped in 10 s".to_owned()),
            ..nothing.clone()
        };
        let resyncs = Circumstances {
            resyncs: true,
            ..nothing.clone()
        };
        let misplaced = Circumstances {
            misconfigured: Some("its agent is configured with POOL=b: move it there".to_owned()),
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
        let outdated = Circumstances {
            outdated: Some("its agent is of release 0.1.0".to_owned()),
            ..nothing.clone()
        };
        let serves_all_others = Assessment {
            state: NodeState::Healthy,
            reason: outdated.outdated.clone(),
        };
        assert_eq!(assess(&well, now, &outdated, limits()), serves_all_others);

        let mut down = heartbeat();
        down.openvpn.state = OpenvpnState::Down;
        down.openvpn.detail = Some("killed".to_owned());
        let mut waiting = heartbeat();
        waiting.openvpn.state = OpenvpnState::Waiting;
        let mut faulty = heartbeat();
        faulty.fault = Some("the disk of /state is almost full: make room".to_owned());
        let mut full = heartbeat();
        full.openvpn.sessions = 95;
        let mut skewed = heartbeat();
        skewed.at = now - TimeDelta::seconds(3);
        let late_for_long = Circumstances {
            late_since: Some(now - TimeDelta::seconds(15)),
            ..nothing.clone()
        };
        let cases = [
            (
                &well,
                cloned,
                "a second agent speaks with its identity, and is refused",
                "stop the agent",
            ),
            (&down, nothing.clone(), "OpenVPN is down: killed", "see its log"),
            (
                &waiting,
                nothing.clone(),
                "OpenVPN waits for a complete snapshot",
                "see the agent's log",
            ),
            // The node says itself what to do.
            (
                &faulty,
                nothing.clone(),
                "the disk of /state is almost full: make room",
                "make room",
            ),
            (&well, resyncs, "it gets everything again", "see the agent's log"),
            (
                &well,
                drifts_since(now - TimeDelta::seconds(5)),
                "it holds something else than it should, and is being put right",
                "see the agent's log",
            ),
            (
                &well,
                noisy,
                "it sends too many heartbeats: 5 were dropped in 10 s",
                "raise that BUDGET_*",
            ),
            (&well, misplaced, "its agent is configured with POOL=b", "move it there"),
            (&skewed, late_for_long, "its clock is off by -3000 ms", "set it"),
            (
                &full,
                nothing,
                "95 of 100 addresses are in use",
                "add a node to its pool",
            ),
        ];
        for (heartbeat, known, cause, action) in cases {
            let found = assess(heartbeat, now, &known, limits());
            let reason = found.reason.expect("a reason");
            assert_eq!(found.state, NodeState::Degraded, "{reason}");
            let rest = reason.strip_prefix(cause).unwrap_or_else(|| panic!("{reason}"));
            assert!(rest.contains(action) || cause.ends_with(action), "{reason}");
        }
        assert!(SERVES_NOBODY.contains("set OPENVPN_MODE"));
        let silent = by_age(
            now - TimeDelta::seconds(31),
            now - TimeDelta::seconds(1000),
            now,
            limits(),
        );
        let reason = silent.and_then(|found| found.reason).expect("a reason");
        assert!(
            reason.starts_with("no heartbeat since ") && reason.contains("see that its agent runs"),
            "{reason}"
        );
    }

    #[test]
    fn a_server_certificate_is_told_of_before_it_ends() {
        let now = Utc::now();
        let ending_in = |days| Heartbeat {
            certificate_expires_at: Some(now + TimeDelta::days(days)),
            ..heartbeat()
        };
        for (days, state, word) in [
            (31, NodeState::Healthy, None),
            (29, NodeState::Healthy, Some(" ends at ")),
            (2, NodeState::Degraded, Some(" ends at ")),
            (-1, NodeState::Degraded, Some(" has ended at ")),
        ] {
            let found = assess(&ending_in(days), now, &Circumstances::default(), limits());
            assert_eq!(found.state, state, "{days}");
            assert_eq!(found.reason.is_some(), word.is_some(), "{days}: {found:?}");
            let reason = found.reason.unwrap_or_default();
            assert!(
                word.is_none_or(|word| reason.contains(word) && reason.contains("enrol it again")),
                "{reason}"
            );
        }
    }

    #[test]
    fn heartbeats_that_are_late_for_a_moment_are_no_slow_clock() {
        let (seconds, now) = (TimeDelta::seconds, Utc::now());
        let earlier = now - seconds(9);
        for (skew, before, expected) in [
            (-3, None, Some(now)),
            (-3, Some(earlier), Some(earlier)),
            (-1, Some(earlier), None),
            (3, Some(earlier), None),
        ] {
            assert_eq!(late_since(seconds(skew), before, now, limits()), expected, "{skew}");
        }
        let state = |skew: i64, late_since| {
            let mut heartbeat = heartbeat();
            heartbeat.at = now + seconds(skew);
            let known = Circumstances {
                late_since,
                ..Circumstances::default()
            };
            assess(&heartbeat, now, &known, limits()).state
        };
        for late_for in [0, 14] {
            assert_eq!(state(-3, Some(now - seconds(late_for))), NodeState::Healthy);
        }
        assert_eq!(state(-3, Some(now - seconds(15))), NodeState::Degraded);
        assert_eq!(state(3, None), NodeState::Degraded);
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
