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

/// What is to be done about a server certificate in use that ends within this time, or has ended.
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
            "the server certificate that its OpenVPN uses {tense} at {}, and {effect}: a restart is needed, as a rollout of its pool does it, so that \
             OpenVPN takes the one that the agent has renewed; the agent's log says why if there is none",
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
mod tests;
