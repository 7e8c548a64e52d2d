//! What is made of what the fleet holds.

mod old;

use chrono::{TimeDelta, Utc};
use vpnmanager_nats::{
    holdings::{HeldAccess, HeldUser},
    ids::{CommonName, UserKey},
};

use super::{
    filed::Expected,
    sightings::{Source, Stranger},
    *,
};
use crate::domain::acks::MOST_RAISED;

fn node(name: &str) -> NodeId {
    name.parse().expect("a node")
}

fn credential(text: &str) -> CommonName {
    text.parse().expect("a common name")
}

/// Alice, revision 5, with access for ever, applied on these nodes.
fn alice(nodes: &[&str]) -> Filed {
    Filed {
        key: UserKey::new(),
        username: "alice".parse().expect("a username"),
        revision: Revision(5),
        active: true,
        expires_at: None,
        is_removed: false,
        credentials: vec![credential("alice.1")],
        old_certificates: Vec::new(),
        expected: nodes
            .iter()
            .map(|name| Expected {
                node: node(name),
                published: true,
                applied: true,
            })
            .collect(),
    }
}

fn access_of(filed: &Filed) -> HeldAccess {
    HeldAccess {
        active: filed.active,
        expires_at: filed.expires_at,
        credentials: filed.credentials.clone(),
        old_certificates: Vec::new(),
        cut: false,
    }
}

fn held(filed: &Filed, revision: i64) -> HeldUser {
    held_with(filed, revision, |_access| {})
}

fn held_with(filed: &Filed, revision: i64, change: impl FnOnce(&mut HeldAccess)) -> HeldUser {
    let mut access = access_of(filed);
    change(&mut access);
    HeldUser {
        user_key: filed.key,
        username: filed.username.clone(),
        revision: Revision(revision),
        access: Some(access),
    }
}

fn suspended(filed: &Filed, revision: i64) -> HeldUser {
    held_with(filed, revision, |access| access.active = false)
}

fn tombstone(filed: &Filed, revision: i64) -> HeldUser {
    HeldUser {
        access: None,
        ..held(filed, revision)
    }
}

/// The file has these users. These nodes have told all that they hold, and the bus has another store.
fn told_by(users: &[&Filed], nodes: &[&str]) -> Sightings {
    let mut fleet = Sightings::default();
    fleet.answered.extend(nodes.iter().map(|name| node(name)));
    for user in users {
        fleet.knows(user.key, user.revision);
        for expected in &user.expected {
            fleet.place(user.key, &expected.node);
        }
    }
    fleet
}

/// The file has these users, and the bus the store that it had.
fn on_the_same_bus(users: &[&Filed]) -> Sightings {
    let mut fleet = told_by(users, &[]);
    fleet.same_store = true;
    fleet
}

fn newer(fate: Fate) -> Newer {
    match fate {
        Fate::Newer(newer) => newer,
        Fate::Same | Fate::Moved { .. } | Fate::Removed { .. } => panic!("{fate:?}"),
    }
}

const CERTAIN: Fate = Fate::Removed {
    revision: None,
    is_certain: true,
};
const UNCERTAIN: Fate = Fate::Removed {
    revision: None,
    is_certain: false,
};

#[test]
fn who_is_as_the_file_says_stays_so() {
    let alice = alice(&["one"]);
    let mut fleet = told_by(&[&alice], &["one"]);
    fleet.note(&node("one"), Source::Node, held(&alice, 5));
    assert_eq!(judge(&alice, &fleet), Fate::Same);
}

#[test]
fn who_lost_access_since_is_told_with_what_was_lost() {
    let mut alice = alice(&["one"]);
    alice.credentials.push(credential("alice.2"));
    let end = Utc::now() + TimeDelta::days(1);
    let told = held_with(&alice, 8, |access| {
        access.active = false;
        access.expires_at = Some(end);
        access.credentials = vec![credential("alice.2"), credential("alice.3")];
    });
    let mut fleet = told_by(&[&alice], &["one"]);
    fleet.note(&node("one"), Source::Node, told);
    let expected = Newer {
        suspended: true,
        ends: Some(end),
        revoked: vec![credential("alice.1")],
        unknown: vec![credential("alice.3")],
        ..Newer::revision_only(Revision(8))
    };
    let newer = newer(judge(&alice, &fleet));
    assert!(newer.ends_access());
    assert_eq!(newer, expected);
}

#[test]
fn who_got_more_since_loses_nothing() {
    let mut alice = alice(&["one"]);
    alice.active = false;
    alice.expires_at = Some(Utc::now());
    let told = held_with(&alice, 6, |access| {
        access.active = true;
        access.expires_at = None;
    });
    let mut fleet = told_by(&[&alice], &["one"]);
    fleet.note(&node("one"), Source::Node, told);
    let newer = newer(judge(&alice, &fleet));
    assert!(newer.given && !newer.ends_access(), "{newer:?}");
}

#[test]
fn the_newest_word_counts_whoever_says_it() {
    let alice = alice(&["one", "two"]);
    for order in [[0, 1], [1, 0]] {
        let words = [
            (node("one"), Source::Stream, suspended(&alice, 7)),
            (node("two"), Source::Node, held(&alice, 6)),
        ];
        let mut fleet = told_by(&[&alice], &["one", "two"]);
        for place in order {
            let (node, source, held) = words[place].clone();
            fleet.note(&node, source, held);
        }
        let newer = newer(judge(&alice, &fleet));
        assert!(newer.suspended && newer.revision == Revision(7), "{newer:?}");
    }
}

#[test]
fn a_node_speaks_for_its_own_users_only() {
    let alice = alice(&["one"]);
    let lies = [
        ("ends her access", suspended(&alice, 9)),
        ("has to remove her", tombstone(&alice, 9)),
        ("lets her in", held(&alice, 9)),
    ];
    for (what, lie) in lies {
        // Alone, nothing comes of it.
        let mut fleet = told_by(&[&alice], &["one", "two"]);
        fleet.note(&node("one"), Source::Node, held(&alice, 5));
        fleet.note(&node("two"), Source::Node, lie.clone());
        let fate = judge(&alice, &fleet);
        assert_eq!(fate, Fate::Same, "{what}");
        let named = disbelieved(&alice, &fate, &fleet).cloned();
        assert_eq!(named, lie.access.is_some().then(|| node("two")), "{what}");

        // And it hides nothing that her own node says.
        let mut fleet = told_by(&[&alice], &["one", "two"]);
        fleet.note(&node("two"), Source::Node, lie);
        fleet.note(&node("one"), Source::Node, suspended(&alice, 7));
        let newer = newer(judge(&alice, &fleet));
        assert!(newer.suspended && newer.revision == Revision(7), "{what}: {newer:?}");
    }
}

#[test]
fn a_revision_out_of_reach_is_not_believed_and_hides_none() {
    let alice = alice(&["one", "two"]);
    let mut fleet = told_by(&[&alice], &["one", "two"]);
    fleet.note(&node("one"), Source::Node, held(&alice, 5 + MOST_RAISED + 1));
    fleet.note(&node("two"), Source::Node, held(&alice, 5));
    assert_eq!(judge(&alice, &fleet), Fate::Same);
    fleet.note(&node("two"), Source::Node, suspended(&alice, 6));
    assert!(newer(judge(&alice, &fleet)).suspended);
}

#[test]
fn who_was_moved_was_not_removed_where_the_stream_says_so() {
    let alice = alice(&["one"]);
    let mut fleet = told_by(&[&alice], &["one", "two"]);
    fleet.note(&node("one"), Source::Stream, tombstone(&alice, 6));
    fleet.note(&node("two"), Source::Stream, held(&alice, 6));
    assert!(!newer(judge(&alice, &fleet)).ends_access());
    // The node that she left has no say any more.
    fleet.note(&node("one"), Source::Node, suspended(&alice, 9));
    assert!(!newer(judge(&alice, &fleet)).ends_access());
}

/// Nobody but the node to which she was moved says so. It may be a lie about who was removed.
#[test]
fn who_was_moved_as_the_other_node_alone_says_is_neither_removed_nor_as_before() {
    let alice = alice(&["one"]);
    for gone in [None, Some(tombstone(&alice, 6))] {
        let mut fleet = told_by(&[&alice], &["one", "two"]);
        if let Some(gone) = gone {
            fleet.note(&node("one"), Source::Node, gone);
        }
        fleet.note(&node("two"), Source::Node, held(&alice, 6));
        let Fate::Moved { newer, to } = judge(&alice, &fleet) else {
            panic!("{:?}", judge(&alice, &fleet))
        };
        assert_eq!((newer.revision, to), (Revision(6), node("two")));
    }
}

#[test]
fn who_is_on_no_node_any_more_was_removed() {
    let alice = alice(&["one"]);
    assert_eq!(judge(&alice, &told_by(&[&alice], &["one"])), CERTAIN);

    let mut fleet = told_by(&[&alice], &["one"]);
    fleet.note(&node("one"), Source::Node, tombstone(&alice, 6));
    let expected = Fate::Removed {
        revision: Some(Revision(6)),
        is_certain: true,
    };
    assert_eq!(judge(&alice, &fleet), expected);
}

/// The other one was away when she was removed, or when she was taken off the first one.
#[test]
fn who_is_on_one_of_her_nodes_as_before_and_not_on_the_other_is_not_removed_for_certain() {
    let alice = alice(&["one", "two"]);
    let mut fleet = told_by(&[&alice], &["one", "two"]);
    fleet.note(&node("two"), Source::Node, held(&alice, 5));
    assert_eq!(judge(&alice, &fleet), UNCERTAIN);
    fleet.note(&node("one"), Source::Node, tombstone(&alice, 6));
    let expected = Fate::Removed {
        revision: Some(Revision(6)),
        is_certain: false,
    };
    assert_eq!(judge(&alice, &fleet), expected);
}

#[test]
fn a_tombstone_that_left_the_store_that_the_file_knows_is_a_removal() {
    let (alice, bob) = (alice(&["one"]), alice(&["one"]));
    let mut fleet = on_the_same_bus(&[&alice, &bob]);
    fleet.silent.insert(node("one"), "away");
    fleet.note(&node("one"), Source::Stream, held(&bob, 5));
    assert_eq!(judge(&alice, &fleet), CERTAIN);
    assert!(fleet.vanished().is_empty());
    let unpublished = Filed {
        expected: vec![Expected {
            node: node("one"),
            published: false,
            applied: false,
        }],
        ..alice
    };
    assert_eq!(judge(&unpublished, &fleet), Fate::Same);
}

/// Its commands went with it, and its users may wait for another one.
#[test]
fn users_of_a_node_that_left_the_fleet_since_are_not_removed_for_certain() {
    let alice = alice(&["one"]);
    let mut fleet = on_the_same_bus(&[&alice]);
    fleet.silent.insert(node("one"), "away");
    assert_eq!(judge(&alice, &fleet), UNCERTAIN);
    assert_eq!(fleet.vanished(), [node("one")]);
}

#[test]
fn a_removal_is_uncertain_while_a_node_is_silent_and_the_bus_has_another_store() {
    let alice = alice(&["one"]);
    let mut fleet = told_by(&[&alice], &["one"]);
    fleet.silent.insert(node("two"), "away");
    assert_eq!(judge(&alice, &fleet), UNCERTAIN);
}

#[test]
fn where_nobody_can_be_asked_the_file_is_all_there_is() {
    let alice = alice(&["one"]);
    let mut fleet = told_by(&[&alice], &[]);
    fleet.silent.insert(node("one"), "away");
    assert_eq!(judge(&alice, &fleet), Fate::Same);
}

#[test]
fn a_removal_that_goes_on_is_neither_undone_nor_done_again() {
    let mut alice = alice(&["one"]);
    alice.is_removed = true;
    assert_eq!(judge(&alice, &told_by(&[&alice], &["one"])), Fate::Same);
    let mut fleet = told_by(&[&alice], &["one"]);
    fleet.note(&node("one"), Source::Node, tombstone(&alice, 9));
    assert_eq!(newer(judge(&alice, &fleet)).revision, Revision(9));
}

#[test]
fn a_command_that_cannot_be_read_may_be_an_end_and_is_no_absence() {
    let alice = alice(&["one"]);
    let fleet = |revision| {
        let mut fleet = on_the_same_bus(&[&alice]);
        fleet.note_unread(&node("one"), alice.key, Revision(revision));
        fleet
    };
    assert_eq!(judge(&alice, &fleet(5)), Fate::Same);
    let may_be_gone = Fate::Removed {
        revision: Some(Revision(7)),
        is_certain: false,
    };
    assert_eq!(judge(&alice, &fleet(7)), may_be_gone);
    let mut told = fleet(7);
    told.note(&node("one"), Source::Node, suspended(&alice, 8));
    assert!(newer(judge(&alice, &told)).suspended);
}

#[test]
fn whom_the_file_does_not_know_is_told_with_place_and_credentials() {
    let (alice, bob) = (alice(&["one"]), alice(&["one"]));
    let mut fleet = told_by(&[&alice], &["one", "two"]);
    fleet.note(&node("one"), Source::Node, held(&alice, 5));
    fleet.note(&node("two"), Source::Node, held(&bob, 1));
    fleet.note(&node("two"), Source::Stream, held(&bob, 1));
    let expected = Stranger {
        key: bob.key,
        username: bob.username.clone(),
        credentials: bob.credentials.clone(),
        nodes: vec![node("two")],
    };
    assert_eq!(fleet.strangers(), [expected]);

    let mut gone = told_by(&[&alice], &["one"]);
    gone.note(&node("one"), Source::Node, tombstone(&bob, 2));
    assert_eq!(gone.strangers(), []);
}
