//! Violations of the history of sessions.

use std::collections::BTreeSet;

use crate::chaos::history::{NodeHistory, Past, Traffic, untrue};

/// A session that ended, one that lives, one whose end may be lost, and one whose user was gone.
fn in_order() -> NodeHistory {
    let past = |id: &str, is_open| Past {
        id: id.to_owned(),
        is_open,
        is_excused: false,
        has_user: true,
        traffic: Traffic {
            bytes_in: 10,
            bytes_out: 20,
            sessions: 1,
        },
    };
    let mut excused = past("node-1.3.2", true);
    excused.is_excused = true;
    let mut without_user = past("node-1.2.1", false);
    without_user.has_user = false;
    NodeHistory {
        node: "node-1".to_owned(),
        past: vec![
            past("node-1.4.3", true),
            excused,
            without_user,
            past("node-1.1.0", false),
        ],
        live: BTreeSet::from(["node-1.4.3".to_owned()]),
        traffic: Traffic {
            bytes_in: 30,
            bytes_out: 60,
            sessions: 3,
        },
    }
}

/// A part of the expected message, and the violation that is planted.
type Plant = (&'static str, fn(&mut NodeHistory));

#[test]
fn a_history_that_is_not_true_is_told() {
    assert_eq!(untrue(&in_order()), Vec::<String>::new());
    let plants: [Plant; 7] = [
        ("the session node-1.4.3 is open in the history", |history| {
            history.live.clear();
        }),
        ("the session node-1.1.0 is open in the history", |history| {
            history.past[3].is_open = true;
        }),
        ("the session node-1.3.2 is open in the history", |history| {
            history.past[1].is_excused = false;
        }),
        ("has the session node-1.1.0 twice", |history| {
            let again = history.past[3].clone();
            history.past.push(again);
        }),
        ("the traffic of node-1 is", |history| history.traffic.bytes_in += 1),
        ("the traffic of node-1 is", |history| {
            history.past[0].traffic.bytes_out -= 1;
        }),
        ("the traffic of node-1 is", |history| history.traffic.sessions += 1),
    ];
    for (part, plant) in plants {
        let mut history = in_order();
        plant(&mut history);
        let told = untrue(&history);
        assert!(
            told.iter().any(|what| what.contains(part)),
            "{part:?} is not in {told:#?}"
        );
    }
}
