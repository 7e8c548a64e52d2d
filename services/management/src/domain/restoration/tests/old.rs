//! Certificates of old servers, and answers without room.

use chrono::{DateTime, TimeDelta, Utc};
use vpnmanager_nats::{ids::NodeId, old_certificates::OldCertificate};

use super::{alice, credential, held_with, judge, newer, node, told_by, tombstone};
use crate::domain::{
    import::certificates::MOST_REVOKED,
    restoration::{filed::FiledOld, newer::EndedOld, sightings::Source},
};

/// A certificate of the old server of a node.
fn old(node_name: &str, name: &str) -> FiledOld {
    FiledOld {
        node: node(node_name),
        common_name: credential(name),
        expires_at: None,
        revoked: Vec::new(),
    }
}

/// The same, as that node holds it.
fn held_old(name: &str, expires_at: Option<DateTime<Utc>>, revoked: &[&str]) -> OldCertificate {
    OldCertificate {
        common_name: credential(name),
        expires_at,
        revoked: revoked
            .iter()
            .map(|serial| serial.parse().expect("a serial number"))
            .collect(),
    }
}

/// A list that was cut does not say that what it lacks was revoked.
#[test]
fn what_found_no_room_in_an_answer_is_not_taken_for_revoked() {
    let mut alice = alice(&["one"]);
    alice.old_certificates = vec![old("one", "alice")];
    let told = held_with(&alice, 6, |access| {
        access.credentials.clear();
        access.cut = true;
    });
    let mut fleet = told_by(&[&alice], &["one"]);
    fleet.note(&node("one"), Source::Node, told);
    let newer = newer(judge(&alice, &fleet));
    assert!(newer.in_part && !newer.ends_access(), "{newer:?}");
}

#[test]
fn old_certificates_that_were_revoked_or_ended_since_are_told_by_their_node() {
    let mut alice = alice(&["one", "two"]);
    alice.old_certificates = ["kept", "revoked", "ended", "twice"]
        .map(|name| old("one", name))
        .into();
    alice.old_certificates.push(old("two", "revoked"));
    let end = Utc::now() + TimeDelta::days(1);
    let of_one = held_with(&alice, 7, |access| {
        access.old_certificates = vec![
            held_old("kept", None, &[]),
            held_old("ended", Some(end), &[]),
            held_old("twice", None, &["258", "258"]),
            held_old("imported", None, &[]),
        ];
    });
    let of_two = held_with(&alice, 7, |access| {
        access.old_certificates = vec![held_old("revoked", None, &[])]
    });
    let mut fleet = told_by(&[&alice], &["one", "two"]);
    fleet.note(&node("one"), Source::Node, of_one);
    fleet.note(&node("two"), Source::Node, of_two);
    let newer = newer(judge(&alice, &fleet));
    let ended = |name: &str| EndedOld {
        node: node("one"),
        common_name: credential(name),
        revoked: false,
        ends: None,
        serials: Vec::new(),
    };
    let expected = [
        EndedOld {
            revoked: true,
            ..ended("revoked")
        },
        EndedOld {
            ends: Some(end),
            ..ended("ended")
        },
        EndedOld {
            serials: vec!["258".parse().expect("a serial number")],
            ..ended("twice")
        },
    ];
    assert_eq!(newer.old_ended, expected);
    assert_eq!(newer.old_unknown, [(node("one"), credential("imported"))]);
    assert!(newer.ends_access());
}

/// Whatever else is newer: the node holds none of them.
#[test]
fn old_certificates_of_a_node_that_holds_the_user_no_more_were_revoked() {
    let mut alice = alice(&["one", "two"]);
    alice.old_certificates = vec![old("one", "alice"), old("two", "alice")];
    for gone in [None, Some(tombstone(&alice, 6))] {
        let mut fleet = told_by(&[&alice], &["one", "two"]);
        if let Some(gone) = gone {
            fleet.note(&node("one"), Source::Node, gone);
        }
        let told = held_with(&alice, 6, |access| {
            access.old_certificates = vec![held_old("alice", None, &[])]
        });
        fleet.note(&node("two"), Source::Node, told);
        let newer = newer(judge(&alice, &fleet));
        let ended: Vec<(&NodeId, bool)> = newer.old_ended.iter().map(|old| (&old.node, old.revoked)).collect();
        assert_eq!(ended, [(&node("one"), true)]);
    }
}

#[test]
fn more_serial_numbers_than_the_database_takes_revoke_the_certificate() {
    let mut alice = alice(&["one"]);
    alice.old_certificates = vec![old("one", "alice")];
    let serials: Vec<String> = (0..=MOST_REVOKED).map(|serial| serial.to_string()).collect();
    let serials: Vec<&str> = serials.iter().map(String::as_str).collect();
    let told = held_with(&alice, 6, |access| {
        access.old_certificates = vec![held_old("alice", None, &serials)]
    });
    let mut fleet = told_by(&[&alice], &["one"]);
    fleet.note(&node("one"), Source::Node, told);
    assert!(newer(judge(&alice, &fleet)).old_ended[0].revoked);
}
