//! What degrades a node, and what is said of it.

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
            word.is_none_or(|word| reason.contains(word) && reason.contains("a restart is needed")),
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
