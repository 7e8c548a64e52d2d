use vpnmanager_nats::{
    commands::{PutUser, RemoveUser},
    groups::{Group, GroupRules, Groups},
    ids::{Revision, UserKey},
};

use super::*;
use crate::groups::{Definitions, Layout};

fn name(text: &str) -> CommonName {
    text.parse().expect("a name")
}

fn names(texts: &[&str]) -> Vec<CommonName> {
    texts.iter().map(|text| name(text)).collect()
}

fn put(group: Option<&str>, credentials: &[&str]) -> Command {
    Command::PutUser(PutUser {
        group: group.map(|group| group.parse().expect("a name")),
        credentials: names(credentials),
        ..PutUser::new(
            "n1".parse().expect("an id"),
            UserKey(uuid::Uuid::from_u128(1)),
            "alice".parse().expect("a name"),
            Revision(1),
        )
    })
}

fn removed() -> Command {
    let Command::PutUser(put) = put(None, &[]) else {
        unreachable!("it is one")
    };
    Command::RemoveUser(RemoveUser {
        node: put.node,
        user_key: put.user_key,
        username: put.username,
        revision: put.revision,
    })
}

fn by_address(network: &str) -> (Places, Holding) {
    let places = Places::new(Layout::new(network.parse().expect("a network"), None));
    (places.clone(), Holding::ByAddress(places))
}

/// Carries it out at once.
fn hold(holding: &Holding, known: &[&str], command: &Command) -> Hold {
    let mut draft = holding.draft();
    let hold = draft.hold(&names(known), command);
    draft.commit();
    hold
}

#[test]
fn who_is_in_no_group_costs_no_row_and_moves_nobody() {
    let (places, holding) = by_address("10.8.0.0/24");
    for command in [put(None, &["a.x"]), put(Some("default"), &["a.x"]), removed()] {
        assert_eq!(hold(&holding, &["a.x"], &command), Hold::default());
    }
    assert!(places.is_empty());
}

#[test]
fn a_new_member_is_placed_and_one_who_was_there_before_has_moved() {
    let (places, holding) = by_address("10.8.0.0/24");
    let sales = put(Some("sales"), &["a.x", "b.x"]);

    let new = hold(&holding, &[], &sales);

    let rows: Vec<&CommonName> = new.rows.iter().map(|(name, _)| name).collect();
    assert_eq!((rows, new.moved.len()), (vec![&name("a.x"), &name("b.x")], 0));
    assert_eq!(hold(&holding, &["a.x", "b.x"], &sales), Hold::default(), "repeated");

    let moved = hold(&holding, &["a.x", "b.x"], &put(Some("temps"), &["a.x", "c.x"]));
    assert_eq!(moved.moved, names(&["a.x"]), "the new device was nowhere before");
    assert_eq!(places.place_of(&name("b.x")), None);
    assert_eq!(places.blocks().len(), 1);

    let back = hold(&holding, &["a.x", "c.x"], &put(None, &["a.x", "c.x"]));
    assert_eq!(back.moved, names(&["a.x", "c.x"]));
    assert_eq!(back.rows, [(name("a.x"), None), (name("c.x"), None)]);
    assert!(places.is_empty());

    hold(&holding, &["a.x"], &sales);
    assert_eq!(hold(&holding, &["a.x", "b.x"], &removed()), Hold::default());
    assert!(places.is_empty());
}

#[test]
fn without_room_the_rest_is_placed_and_the_reason_is_told() {
    let (places, holding) = by_address("10.8.0.0/29");
    let full = hold(&holding, &[], &put(Some("sales"), &["a.x", "b.x", "c.x", "d.x"]));
    assert_eq!(full.refused, names(&["d.x"]));
    let reason = full.reason.expect("a reason");
    assert!(reason.contains("no address left for the group sales"), "{reason}");

    // She loses the place of the other group, whose rules are not hers any more.
    let (other, known) = (put(Some("temps"), &["a.x"]), ["a.x", "b.x", "c.x", "d.x"]);
    let moved = hold(&holding, &known, &other);
    assert_eq!(
        (moved.refused, moved.rows),
        (names(&["a.x"]), vec![(name("a.x"), None)])
    );
    assert!(places.is_empty(), "the others are none of hers any more");
    let mut wanted = BTreeSet::from_iter(names(&["a.x", "z.x"]));
    holding.refuse(&mut wanted);
    assert_eq!(wanted, BTreeSet::from_iter(names(&["z.x"])));

    assert!(hold(&holding, &["a.x"], &other).reason.is_none(), "there is room now");
}

#[test]
fn where_nobody_can_be_held_the_group_decides() {
    let definitions = Definitions::default();
    let holding = Holding::NotAtAll(Unheld::new(definitions.clone()));
    let sales = put(Some("sales"), &["a.x"]);
    let unknown = hold(&holding, &[], &sales);
    assert_eq!(unknown.refused, names(&["a.x"]));
    assert!(unknown.reason.is_some());
    assert_eq!(hold(&holding, &[], &put(None, &["b.x"])), Hold::default());

    let group = Group {
        name: "sales".parse().expect("a name"),
        rules: GroupRules::default(),
        metered: false,
    };
    definitions.learn(Groups {
        revision: Revision(1),
        groups: vec![group],
    });
    assert_eq!(hold(&holding, &["a.x"], &sales), Hold::default());
    let mut draft = holding.draft();
    draft.forget(&names(&["a.x"]));
    draft.commit();
    definitions.learn(Groups {
        revision: Revision(2),
        groups: Vec::new(),
    });
    let mut wanted = BTreeSet::from_iter(names(&["a.x"]));
    holding.refuse(&mut wanted);
    assert_eq!(wanted.len(), 1, "nobody knows a group of hers any more");
}
