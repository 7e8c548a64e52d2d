//! A node that restarts: asked for, begun, back.

use super::*;

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
