//! The turns of nodes: who is begun, left out, or held up.

use super::*;

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
fn who_runs_no_openvpn_or_was_never_heard_holds_up_nobody() {
    let now = Utc::now();
    let none = health_status::Model {
        openvpn_state: OpenvpnState::Absent,
        ..heartbeat("b", 1, now)
    };
    let waiting = [node("a", RolloutNodeState::Waiting, now)];
    for (other, health) in [
        (in_state("b", NodeState::Lost), vec![none.clone()]),
        (in_state("b", NodeState::Enrolled), Vec::new()),
    ] {
        let servers = vec![server("a"), other, server("c")];
        let step = next_of(&rollout(true), &waiting, servers, health);
        assert_eq!(step, of("a", NodeStep::AskWhether));
    }

    // Its own turn is over at once.
    let waiting = [node("b", RolloutNodeState::Waiting, now)];
    let step = next_of(&rollout(true), &waiting, vec![server("a"), server("b")], vec![none]);
    let absent = "it runs no OpenVPN (OPENVPN_MODE=none)";
    assert_eq!(step, of("b", NodeStep::Skip(absent.to_owned())));
}
