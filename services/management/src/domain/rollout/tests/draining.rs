//! A node that is drained: when that is over, and when it is given up.

use super::*;

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
