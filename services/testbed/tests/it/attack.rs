//! Short runs of all attacks: nothing of anybody else changes, nothing ends, nothing that was accepted is lost.
//! `make attack` runs them longer, and measures.

use std::process::Command;

/// Runs the attacks whose names have one of these in it; each attack is in one test.
fn hold(families: &str) {
    let run = Command::new(env!("CARGO_BIN_EXE_vpnmanager-testbed"))
        .args(["attack", "--short", "--only", families])
        .args(["--out", env!("CARGO_TARGET_TMPDIR")])
        .output()
        .expect("the testbed's program is built with its tests");
    let text = String::from_utf8_lossy(&run.stdout);
    eprintln!("{text}");
    let last = text.lines().last().unwrap_or_default();
    assert!(
        run.status.success() && last.ends_with(" 0 not held, 0 wrong states, 0 broken off"),
        "{text}{}",
        String::from_utf8_lossy(&run.stderr)
    );
}

#[test]
fn heartbeats_of_one_node_change_nothing_of_others() {
    hold("heartbeats-,forbidden-");
}

#[test]
fn odd_messages_of_one_node_are_read_and_change_nothing_of_others() {
    hold("odd-,groups-");
}

#[test]
fn requests_and_acks_of_one_node_change_nothing_of_others() {
    hold("syncs-,endpoint-,acks-,intents-,signs-");
}

#[test]
fn events_and_connections_of_one_node_change_nothing_of_others() {
    hold("events-,reports-,commands-,replies-,profiles-,sessions-,connections-,standings-,everything");
}

#[test]
fn requests_that_never_end_change_nothing() {
    hold("http-half-,http-dripping-,http-idle,http-silent");
}

#[test]
fn strangers_with_much_to_say_change_nothing() {
    hold("http-bodies,http-slow-,http-large-,http-wrong-,http-standings,http-waits,http-creates,enrol-,bus-");
}
