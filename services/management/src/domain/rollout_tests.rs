//! What a rollout does next.

use vpnmanager_nats::{ids::AgentInstance, sync::StateDigest};

use super::*;
use crate::domain::placement::tests::server;

fn id(name: &str) -> NodeId {
    name.parse().expect("a valid id")
}

fn rollout(drain: bool) -> rollout::Model {
    rollout::Model {
        id: 1,
        pool: id("default"),
        pool_id: 1,
        state: RolloutState::Running,
        drain,
        drain_for_seconds: 600,
        actor: "key:test".to_owned(),
        ip_address: None,
        request_id: None,
        asked_at: Utc::now(),
        stopped_by: None,
        ended_at: None,
        detail: None,
    }
}

fn node(name: &str, state: RolloutNodeState, since: DateTime<Utc>) -> rollout_node::Model {
    rollout_node::Model {
        rollout_id: 1,
        server_id: id(name),
        state,
        since,
        sessions_left: None,
        detail: None,
        drained: false,
        held_up_since: None,
        openvpn_pid: Some(7),
        asked_at: None,
        begun_at: None,
    }
}

fn heartbeat(name: &str, pid: i64, at: DateTime<Utc>) -> health_status::Model {
    health_status::Model {
        server_id: id(name),
        instance: AgentInstance::new(),
        received_at: at,
        reported_at: at,
        clock_skew_ms: 0,
        openvpn_state: OpenvpnState::Up,
        openvpn_pid: Some(pid),
        sessions: 3,
        capacity: 100,
        bytes_in: 0,
        bytes_out: 0,
        users: 0,
        digest: StateDigest::default(),
        last_sequence: 0,
        complete: true,
        queued_intents: 0,
        draining: false,
        detail: None,
        fault: None,
        drift_since: None,
        late_since: None,
        network_pool: None,
        network_revision: None,
        groups_revision: None,
    }
}

/// What comes next in a pool that is there.
fn next_of(
    rollout: &rollout::Model,
    nodes: &[rollout_node::Model],
    servers: Vec<server::Model>,
    heartbeats: Vec<health_status::Model>,
) -> Step {
    next_with(rollout, nodes, servers, heartbeats, &Besides::default())
}

/// What else is known.
#[derive(Default)]
struct Besides {
    told: Option<Told>,
    runs: HashMap<NodeId, DateTime<Utc>>,
}

fn next_with(
    rollout: &rollout::Model,
    nodes: &[rollout_node::Model],
    servers: Vec<server::Model>,
    heartbeats: Vec<health_status::Model>,
    besides: &Besides,
) -> Step {
    let openvpn = heartbeats
        .iter()
        .map(|health| (health.server_id.clone(), health.openvpn_state));
    let fleet = Fleet::new(servers, openvpn.collect());
    let heard = heartbeats.into_iter();
    let health: HashMap<NodeId, health_status::Model> =
        heard.map(|health| (health.server_id.clone(), health)).collect();
    next(&Scene {
        rollout,
        nodes,
        has_pool: true,
        fleet: &fleet,
        health: &health,
        runs: &besides.runs,
        told: besides.told.as_ref(),
        now: Utc::now(),
    })
}

fn stopped() -> rollout::Model {
    rollout::Model {
        stopped_by: Some("key:test".to_owned()),
        ..rollout(true)
    }
}

fn drained(name: &str) -> server::Model {
    server::Model {
        draining: true,
        ..server(name)
    }
}

fn in_state(name: &str, state: NodeState) -> server::Model {
    server::Model { state, ..server(name) }
}

fn ago(seconds: i64) -> DateTime<Utc> {
    Utc::now() - TimeDelta::seconds(seconds)
}

/// Why it is left out, waits for its turn, or failed.
fn why(step: Step) -> String {
    match step {
        Step::Node(_, NodeStep::Skip(why) | NodeStep::HoldUp(why) | NodeStep::TakeBack(why) | NodeStep::Fail(why))
        | Step::Fail(why) => why,
        other @ (Step::Node(
            _,
            NodeStep::Wait { .. }
            | NodeStep::AskWhether
            | NodeStep::Drain
            | NodeStep::Restart { .. }
            | NodeStep::AskAgain { .. }
            | NodeStep::Finish,
        )
        | Step::End(_)) => panic!("{other:?}"),
    }
}

fn of(name: &str, step: NodeStep) -> Step {
    Step::Node(id(name), step)
}

#[test]
fn the_first_that_waits_is_asked_or_restarted_at_once_and_the_end_is_told() {
    let now = Utc::now();
    let servers = || vec![server("a"), server("b")];
    let of_a = |state| [node("a", state, now), node("b", RolloutNodeState::Waiting, now)];
    for (drain, nodes, expected) in [
        (true, of_a(RolloutNodeState::Waiting), of("a", NodeStep::AskWhether)),
        (true, of_a(RolloutNodeState::Done), of("b", NodeStep::AskWhether)),
        (true, of_a(RolloutNodeState::Skipped), of("b", NodeStep::AskWhether)),
        (
            false,
            of_a(RolloutNodeState::Waiting),
            of("a", NodeStep::Restart { openvpn_pid: None }),
        ),
    ] {
        assert_eq!(next_of(&rollout(drain), &nodes, servers(), Vec::new()), expected);
    }
    let all = ["a", "b"].map(|name| node(name, RolloutNodeState::Done, now));
    assert_eq!(
        next_of(&rollout(true), &all, servers(), Vec::new()),
        Step::End(RolloutState::Done)
    );
    let rest = of_a(RolloutNodeState::Done);
    assert_eq!(
        next_of(&stopped(), &rest, servers(), Vec::new()),
        Step::End(RolloutState::Stopped)
    );
}

#[test]
fn a_node_that_cannot_be_restarted_is_left_out_with_the_reason() {
    let now = Utc::now();
    let changed = |change: fn(&mut server::Model)| {
        let mut server = server("a");
        change(&mut server);
        server
    };
    for (server_a, reason) in [
        (changed(|server| server.enabled = false), "it is disabled"),
        (changed(|server| server.draining = true), "it is drained"),
        (changed(|server| server.state = NodeState::Lost), "it is lost"),
        (changed(|server| server.state = NodeState::Stale), "it is stale"),
        (
            changed(|server| server.state = NodeState::Enrolled),
            "it was never heard",
        ),
        (
            changed(|server| server.leaving_since = Some(Utc::now())),
            "it was deregistered",
        ),
        (
            changed(|server| server.pool = "sales".to_owned()),
            "it moves to another pool",
        ),
    ] {
        let nodes = [node("a", RolloutNodeState::Waiting, now)];
        let step = next_of(&rollout(true), &nodes, vec![server_a, server("b")], Vec::new());
        assert_eq!(step, of("a", NodeStep::Skip(reason.to_owned())));
    }
}

#[test]
fn no_node_is_taken_out_of_a_pool_that_lacks_one() {
    let now = Utc::now();
    let waiting = [node("a", RolloutNodeState::Waiting, now)];
    let held_up = |servers, heartbeats| {
        let step = next_of(&rollout(true), &waiting, servers, heartbeats);
        let Step::Node(_, NodeStep::HoldUp(why)) = step else {
            panic!("it is not held up")
        };
        why
    };
    for (state, reason) in [
        (NodeState::Degraded, "b is degraded"),
        (NodeState::Stale, "b is stale"),
        (NodeState::Lost, "b is lost"),
    ] {
        let lacking = server::Model { state, ..server("b") };
        assert_eq!(held_up(vec![server("a"), lacking, server("c")], Vec::new()), reason);
    }
    let draining = health_status::Model {
        draining: true,
        ..heartbeat("b", 1, now)
    };
    let still = held_up(vec![server("a"), server("b")], vec![draining]);
    assert_eq!(still, "b has not ended its drain yet");
    let alone = held_up(vec![server("a")], Vec::new());
    assert_eq!(alone, "no other server of the pool could take its clients");

    // What operators took out themselves lacks nothing.
    let disabled = server::Model {
        enabled: false,
        state: NodeState::Lost,
        ..server("b")
    };
    let step = next_of(
        &rollout(true),
        &waiting,
        vec![server("a"), disabled, server("c")],
        Vec::new(),
    );
    assert_eq!(step, of("a", NodeStep::AskWhether));

    let long = [rollout_node::Model {
        held_up_since: Some(now - TimeDelta::minutes(10)),
        ..node("a", RolloutNodeState::Waiting, now)
    }];
    let failed = next_of(&rollout(true), &long, vec![server("a")], Vec::new());
    let Step::Fail(why) = failed else {
        panic!("it did not fail")
    };
    assert!(
        why.contains("a waited for its turn for 10 minutes: no other server"),
        "{why}"
    );
}

#[test]
fn a_node_is_drained_once_its_agent_says_that_it_would_restart() {
    let now = Utc::now();
    let waiting = node("a", RolloutNodeState::Waiting, now);
    let step = |of: &str, willing, waiting: &rollout_node::Model| {
        let told = Told { node: id(of), willing };
        let besides = Besides {
            told: Some(told),
            ..Besides::default()
        };
        let nodes = std::slice::from_ref(waiting);
        next_with(
            &rollout(true),
            nodes,
            vec![server("a"), server("b")],
            Vec::new(),
            &besides,
        )
    };
    assert_eq!(step("a", Willing::Yes, &waiting), of("a", NodeStep::Drain));
    assert_eq!(step("b", Willing::Yes, &waiting), of("a", NodeStep::AskWhether));
    let refused = step("a", Willing::No("not ours".to_owned()), &waiting);
    assert_eq!(refused, of("a", NodeStep::Skip("not ours".to_owned())));
    let silent = "the agent of a does not answer";
    assert_eq!(
        step("a", Willing::Silent, &waiting),
        of("a", NodeStep::HoldUp(silent.to_owned()))
    );
    let long = rollout_node::Model {
        held_up_since: Some(ago(600)),
        ..waiting
    };
    let failed = why(step("a", Willing::Silent, &long));
    assert!(failed.contains("for 10 minutes: the agent of a does not"), "{failed}");
}

#[test]
fn what_a_node_lacked_before_holds_it_up_too_but_not_that_it_is_nearly_full() {
    let now = Utc::now();
    let waiting = [node("a", RolloutNodeState::Waiting, now)];
    let step = |health| {
        let servers = vec![in_state("a", NodeState::Degraded), server("b")];
        next_of(&rollout(true), &waiting, servers, vec![health])
    };
    let faulty = health_status::Model {
        fault: Some("tcp:443: it died".to_owned()),
        ..heartbeat("a", 1, now)
    };
    assert_eq!(why(step(faulty)), "a is degraded: tcp:443: it died");
    let down = health_status::Model {
        openvpn_state: OpenvpnState::Down,
        detail: Some("it died".to_owned()),
        ..heartbeat("a", 1, now)
    };
    assert_eq!(why(step(down)), "a is degraded: OpenVPN is down (it died)");
    let draining = health_status::Model {
        draining: true,
        ..heartbeat("a", 1, now)
    };
    assert_eq!(why(step(draining)), "a has not ended its drain yet");
    let full = health_status::Model {
        sessions: 100,
        ..heartbeat("a", 1, now)
    };
    assert_eq!(step(full), of("a", NodeStep::AskWhether));
}

#[test]
fn a_hold_up_that_clears_is_forgotten() {
    let held_up = [rollout_node::Model {
        held_up_since: Some(ago(599)),
        detail: Some("b is degraded".to_owned()),
        ..node("a", RolloutNodeState::Waiting, ago(700))
    }];
    let step = |state| {
        let servers = vec![server("a"), in_state("b", state), server("c")];
        next_of(&rollout(true), &held_up, servers, Vec::new())
    };
    let holds = NodeStep::HoldUp("b is degraded".to_owned());
    assert_eq!(step(NodeState::Degraded), of("a", holds));
    assert_eq!(step(NodeState::Healthy), of("a", NodeStep::AskWhether));
}

#[test]
fn who_runs_no_openvpn_or_was_never_heard_takes_no_clients_and_holds_up_nobody() {
    let now = Utc::now();
    let none = health_status::Model {
        openvpn_state: OpenvpnState::Absent,
        ..heartbeat("b", 1, now)
    };
    let receives = |other: server::Model, state: Option<OpenvpnState>| {
        let openvpn = state.map(|state| (other.name.clone(), state));
        let fleet = Fleet::new(vec![server("a"), other], openvpn.into_iter().collect());
        has_receiver(&fleet, &server("a"))
    };
    assert!(receives(server("b"), Some(OpenvpnState::Up)));
    assert!(!receives(server("b"), Some(OpenvpnState::Absent)));
    assert!(!receives(in_state("b", NodeState::Enrolled), None));
    assert!(!receives(in_state("b", NodeState::Lost), None));
    assert!(!receives(drained("b"), None));

    let waiting = [node("a", RolloutNodeState::Waiting, now)];
    let servers = vec![server("a"), in_state("b", NodeState::Lost), server("c")];
    let step = next_of(&rollout(true), &waiting, servers, vec![none]);
    assert_eq!(step, of("a", NodeStep::AskWhether));
}

#[test]
fn a_drain_ends_when_nobody_is_left_or_its_time_is_over() {
    let now = Utc::now();
    let says = |sessions, draining, at| health_status::Model {
        sessions,
        draining,
        ..heartbeat("a", 7, at)
    };
    let wait = |sessions_left| NodeStep::Wait { sessions_left };
    let restart = NodeStep::Restart { openvpn_pid: Some(7) };
    let since = now - TimeDelta::seconds(60);
    let down = health_status::Model {
        openvpn_state: OpenvpnState::Down,
        ..says(0, true, now)
    };
    let starting = health_status::Model {
        openvpn_state: OpenvpnState::Waiting,
        ..says(0, true, now)
    };
    let half = health_status::Model {
        fault: Some("tcp:443: it does not answer".to_owned()),
        ..says(0, true, now)
    };
    for (since, health, expected) in [
        (since, says(4, true, now), wait(Some(4))),
        (since, says(0, true, now), restart.clone()),
        // It does not know of the drain yet, or said so before.
        (since, says(0, false, now), wait(None)),
        (since, says(0, true, since - TimeDelta::seconds(1)), wait(None)),
        // Who does not answer counts nobody.
        (since, down.clone(), wait(None)),
        (since, starting, wait(None)),
        (since, half, wait(None)),
        (now - TimeDelta::seconds(601), down, restart.clone()),
        (now - TimeDelta::seconds(601), says(4, true, now), restart),
    ] {
        let nodes = [node("a", RolloutNodeState::Draining, since)];
        let step = next_of(&rollout(true), &nodes, vec![drained("a"), server("b")], vec![health]);
        assert_eq!(step, of("a", expected));
    }
}

#[test]
fn a_node_that_cannot_go_on_while_it_drains_is_left_out() {
    let nodes = [node("a", RolloutNodeState::Draining, ago(60))];
    let deregistered = server::Model {
        leaving_since: Some(Utc::now()),
        ..drained("a")
    };
    let lost = server::Model {
        state: NodeState::Lost,
        ..drained("a")
    };
    for (rollout, servers, reason) in [
        (rollout(true), vec![deregistered], "it was deregistered"),
        (rollout(true), Vec::new(), "it was deregistered"),
        (rollout(true), vec![lost], "it was lost while it drained"),
        (rollout(true), vec![server("a")], "an operator took it back"),
        (
            stopped(),
            vec![drained("a")],
            "the rollout was stopped before its restart",
        ),
    ] {
        let servers = servers.into_iter().chain([server("b")]).collect();
        let step = next_of(&rollout, &nodes, servers, Vec::new());
        assert_eq!(step, of("a", NodeStep::Skip(reason.to_owned())));
    }
}

#[test]
fn a_drain_is_taken_back_when_another_node_is_lost_and_not_when_it_is_only_full() {
    let nodes = [node("a", RolloutNodeState::Draining, ago(60))];
    let step = |others: Vec<server::Model>| {
        let servers = [drained("a")].into_iter().chain(others).collect();
        next_of(&rollout(true), &nodes, servers, Vec::new())
    };
    for (others, reason) in [
        (vec![in_state("b", NodeState::Lost), server("c")], "b is lost"),
        (vec![in_state("b", NodeState::Stale), server("c")], "b is stale"),
        (vec![drained("b")], "no other server of the pool could take its clients"),
    ] {
        assert_eq!(step(others), of("a", NodeStep::TakeBack(reason.to_owned())));
    }
    let wait = NodeStep::Wait { sessions_left: None };
    assert_eq!(step(vec![in_state("b", NodeState::Degraded)]), of("a", wait.clone()));
    let disabled = server::Model {
        enabled: false,
        ..in_state("b", NodeState::Lost)
    };
    assert_eq!(step(vec![disabled, server("c")]), of("a", wait));
}

/// One whose agent said so many seconds ago that it restarts OpenVPN, and was asked a second before.
fn begun(seconds: i64) -> rollout_node::Model {
    rollout_node::Model {
        asked_at: Some(ago(seconds + 1)),
        begun_at: Some(ago(seconds)),
        ..node("a", RolloutNodeState::Restarting, ago(seconds + 1))
    }
}

/// What comes next with one that restarts.
fn step_of(node: rollout_node::Model, server_a: server::Model, health: Option<health_status::Model>) -> Step {
    let servers = vec![server_a, server("b")];
    next_of(&rollout(true), &[node], servers, health.into_iter().collect())
}

#[test]
fn a_node_is_back_when_another_openvpn_of_it_serves() {
    let now = Utc::now();
    let wait = of("a", NodeStep::Wait { sessions_left: None });
    let waiting = health_status::Model {
        openvpn_state: OpenvpnState::Waiting,
        ..heartbeat("a", 8, now)
    };
    let faulty = health_status::Model {
        fault: Some("tcp:443: it died".to_owned()),
        ..heartbeat("a", 8, now)
    };
    let back = step_of(begun(20), server("a"), Some(heartbeat("a", 8, now)));
    assert_eq!(back, of("a", NodeStep::Finish));
    for (health, lack) in [(waiting, "OpenVPN is waiting"), (faulty, "tcp:443: it died")] {
        let early = step_of(begun(20), server("a"), Some(health.clone()));
        assert_eq!(early, wait, "{lack}");
        let late = why(step_of(begun(121), server("a"), Some(health.clone())));
        assert!(late.contains(lack) && late.contains("within 2 minutes"), "{late}");
        // The time goes by the answer, and not by when it was asked first.
        let asked_long_ago = rollout_node::Model {
            since: ago(200),
            ..begun(20)
        };
        assert_eq!(
            step_of(asked_long_ago, server("a"), Some(health.clone())),
            wait,
            "{lack}"
        );
        // Of what was told in time it is not known what became of it since.
        let old = health_status::Model {
            received_at: ago(230),
            ..health
        };
        assert_eq!(step_of(begun(240), server("a"), Some(old)), wait, "{lack}");
    }
}

#[test]
fn a_node_that_is_not_heard_is_waited_for_until_it_is_lost() {
    let wait = of("a", NodeStep::Wait { sessions_left: None });
    for health in [None, Some(heartbeat("a", 8, ago(300)))] {
        assert_eq!(step_of(begun(240), server("a"), health.clone()), wait);
        assert_eq!(
            step_of(begun(240), in_state("a", NodeState::Stale), health.clone()),
            wait
        );
        assert_eq!(step_of(begun(60), in_state("a", NodeState::Lost), health.clone()), wait);
        let lost = why(step_of(begun(240), in_state("a", NodeState::Lost), health));
        assert!(lost.contains("no heartbeat came since"), "{lost}");
    }
}

#[test]
fn a_node_with_several_listeners_has_a_minute_more_for_each() {
    let waiting = health_status::Model {
        openvpn_state: OpenvpnState::Waiting,
        ..heartbeat("a", 8, Utc::now())
    };
    let several = server::Model {
        listeners: "udp:1194,tcp:443".parse().expect("listeners"),
        ..server("a")
    };
    let early = step_of(begun(170), several.clone(), Some(waiting.clone()));
    assert_eq!(early, of("a", NodeStep::Wait { sessions_left: None }));
    let late = why(step_of(begun(181), several, Some(waiting)));
    assert!(late.contains("within 3 minutes"), "{late}");
}

#[test]
fn an_agent_that_forgot_the_restart_is_asked_again_and_not_for_ever() {
    let now = Utc::now();
    let wait = of("a", NodeStep::Wait { sessions_left: None });
    let again = |openvpn_pid| of("a", NodeStep::AskAgain { openvpn_pid });
    let of_before = || Some(heartbeat("a", 7, now));
    assert_eq!(step_of(begun(20), server("a"), of_before()), again(Some(7)));
    // It may have been sent before the answer.
    assert_eq!(step_of(begun(1), server("a"), of_before()), wait);
    // Another replica asks at this moment.
    let asked = rollout_node::Model {
        asked_at: Some(ago(3)),
        ..begun(20)
    };
    assert_eq!(step_of(asked, server("a"), of_before()), wait);
    // It said so again and again, for two minutes.
    let often = rollout_node::Model {
        since: ago(150),
        ..begun(20)
    };
    assert_eq!(step_of(often, server("a"), of_before()), wait);
    let often = rollout_node::Model {
        since: ago(250),
        ..begun(121)
    };
    let failed = why(step_of(often, server("a"), of_before()));
    assert!(failed.contains("the OpenVPN of before still runs"), "{failed}");
}

#[test]
fn an_agent_that_started_anew_restarts_all_of_several_listeners() {
    let several = server::Model {
        listeners: "udp:1194,tcp:443".parse().expect("listeners"),
        ..server("a")
    };
    let step = |server_a: &server::Model, first_heard| {
        let besides = Besides {
            runs: HashMap::from([(id("a"), first_heard)]),
            ..Besides::default()
        };
        let servers = vec![server_a.clone(), server("b")];
        let serves = heartbeat("a", 8, Utc::now());
        next_with(&rollout(true), &[begun(20)], servers, vec![serves], &besides)
    };
    let again = NodeStep::AskAgain { openvpn_pid: Some(8) };
    assert_eq!(step(&several, ago(10)), of("a", again));
    assert_eq!(step(&several, ago(3000)), of("a", NodeStep::Finish));
    // Of one listener the process id says it.
    assert_eq!(step(&server("a"), ago(10)), of("a", NodeStep::Finish));
}

#[test]
fn a_request_without_an_answer_is_sent_again_until_the_time_is_over() {
    let asked = |since, asked_at: Option<i64>| rollout_node::Model {
        asked_at: asked_at.map(ago),
        ..node("a", RolloutNodeState::Restarting, ago(since))
    };
    let again = NodeStep::AskAgain { openvpn_pid: Some(7) };
    for (node, expected) in [
        (asked(5, Some(5)), NodeStep::Wait { sessions_left: None }),
        (asked(20, Some(16)), again.clone()),
        (asked(5, None), again.clone()),
        (asked(125, Some(5)), NodeStep::Wait { sessions_left: None }),
        // Nobody asked meanwhile: no replica was there.
        (asked(600, Some(500)), again.clone()),
        (asked(600, None), again),
    ] {
        assert_eq!(step_of(node, server("a"), None), of("a", expected));
    }
    let failed = why(step_of(asked(125, Some(15)), server("a"), None));
    assert!(failed.contains("its agent did not answer within 2 minutes"), "{failed}");
    // It is to restart the one that runs.
    let restarted = Some(heartbeat("a", 8, Utc::now()));
    let again = NodeStep::AskAgain { openvpn_pid: Some(8) };
    assert_eq!(step_of(asked(20, Some(16)), server("a"), restarted), of("a", again));
}

#[test]
fn a_node_that_leaves_or_is_taken_back_before_its_restart_began_is_left_out() {
    let asked = rollout_node::Model {
        drained: true,
        asked_at: Some(ago(5)),
        ..node("a", RolloutNodeState::Restarting, ago(5))
    };
    let taken = NodeStep::Skip("an operator took it back".to_owned());
    assert_eq!(step_of(asked.clone(), server("a"), None), of("a", taken));
    let wait = NodeStep::Wait { sessions_left: None };
    assert_eq!(step_of(asked.clone(), drained("a"), None), of("a", wait.clone()));
    let of_operator = rollout_node::Model {
        drained: false,
        ..asked.clone()
    };
    assert_eq!(step_of(of_operator, drained("a"), None), of("a", wait));
    for node in [asked, begun(20)] {
        let gone = server::Model {
            leaving_since: Some(Utc::now()),
            ..drained("a")
        };
        let left_out = NodeStep::Skip("it was deregistered".to_owned());
        assert_eq!(step_of(node, gone, None), of("a", left_out));
    }
}

#[test]
fn a_rollout_that_was_stopped_waits_for_the_node_that_restarts_and_fails_with_it() {
    let waiting = health_status::Model {
        openvpn_state: OpenvpnState::Waiting,
        ..heartbeat("a", 8, Utc::now())
    };
    let step = |seconds| {
        let node = rollout_node::Model {
            drained: true,
            ..begun(seconds)
        };
        let servers = vec![drained("a"), server("b")];
        next_of(&stopped(), &[node], servers, vec![waiting.clone()])
    };
    assert_eq!(step(20), of("a", NodeStep::Wait { sessions_left: None }));
    let failed = why(step(121));
    assert!(
        failed.contains("did not come back") && failed.contains("It stays drained"),
        "{failed}"
    );
}
