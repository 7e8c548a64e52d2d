//! Members of groups, who have fixed addresses.

use super::*;

#[test]
fn a_member_gets_the_address_and_the_pushes_of_her_group() {
    let state = state_dir();
    let places = places(&[("eve.x", "engineering"), ("sam.x", "sales")]);
    let list = AllowList::open_pushing(vec![state.path().join("allow")], places.clone()).expect("open");
    let wanted = names(&["alice.x", "eve.x", "sam.x"]);

    list.allow_all(&wanted.iter().cloned().collect::<Vec<_>>())
        .expect("allow");

    let groups = list.pushed_groups().expect("there are some");
    let said = |of: &str| fs::read_to_string(list.dir().join(of)).expect("read");
    for (of, group, addresses) in [
        ("eve.x", "engineering", ("10.8.128.1", "fd00:8::9001")),
        ("sam.x", "sales", ("10.8.129.1", "fd00:8::9101")),
    ] {
        let pushes = groups.path_of(&group.parse().expect("a name"));
        assert!(pushes.is_absolute() && pushes.is_file(), "{}", pushes.display());
        let (address, address6) = addresses;
        let expected = format!(
            "ifconfig-push {address} 255.255.0.0\nifconfig-ipv6-push {address6}/64\nconfig \"{}\"\n",
            pushes.display()
        );
        assert_eq!(said(of), expected);
        let mode = fs::metadata(list.dir().join(of)).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o644);
    }
    assert!(list.dir().join("alice.x").is_symlink());
    assert_eq!(list.compare(&wanted).expect("compare"), BTreeSet::new());

    let mut found = list.fixed().expect("read");
    found.sort_by(|one, other| one.0.cmp(&other.0));
    let held = ["eve.x", "sam.x"].map(|of| (name(of), places.place_of(&name(of)).expect("a place")));
    assert_eq!(found, held);
}

#[test]
fn an_entry_that_frees_a_member_of_her_rules_is_mended() {
    let state = state_dir();
    let places = places(&[("eve.x", "engineering"), ("sam.x", "sales")]);
    let list = AllowList::open_pushing(vec![state.path().join("allow")], places).expect("open");
    let wanted = names(&["eve.x", "sam.x"]);
    assert_eq!(made_right(&list, &wanted).added, [name("eve.x"), name("sam.x")]);
    let mut evil = fs::read_to_string(list.dir().join("sam.x")).expect("read");
    evil.push_str("push \"route 10.0.0.0 255.0.0.0\"\n");
    fs::write(list.dir().join("sam.x"), evil).expect("edit");
    fs::remove_file(list.dir().join("eve.x")).expect("edit");
    symlink(TARGET, list.dir().join("eve.x")).expect("edit");
    assert!(list.fixed().expect("read").is_empty());

    assert_eq!(made_right(&list, &wanted).repaired, [name("eve.x"), name("sam.x")]);

    assert!(made_right(&list, &wanted).is_unchanged());
    fs::remove_file(list.dir().join("eve.x")).expect("edit");
    fs::write(list.dir().join("eve.x"), "").expect("as another mode makes it");
    fs::set_permissions(list.dir().join("eve.x"), Permissions::from_mode(0o644)).expect("chmod");
    assert!(made_right(&list, &wanted).is_unchanged(), "not told");
    assert_eq!(list.compare(&wanted).expect("compare"), BTreeSet::new());
}

#[test]
fn a_member_is_let_in_once_the_firewall_holds_her_rules_and_stays_when_it_fails_later() {
    let state = state_dir();
    let places = places(&[("eve.x", "engineering")]);
    let list = AllowList::open_pushing(vec![state.path().join("allow")], places.clone()).expect("open");
    let (alice, eve) = (name("alice.x"), name("eve.x"));
    let wanted = names(&["alice.x", "eve.x"]);
    let entry = list.dir().join("eve.x");
    places.set_enforced(false);

    let held_back = list.allow_all(&[alice.clone(), eve.clone()]).expect("allow");
    assert_eq!(held_back, std::slice::from_ref(&eve));
    assert!(list.contains(&alice).expect("look") && !list.contains(&eve).expect("look"));
    assert_eq!(
        list.welcome(FIRST, &eve, "10.8.0.2", "").expect("look"),
        Welcome::HeldBack
    );
    assert_eq!(
        list.compare(&wanted).expect("compare"),
        BTreeSet::new(),
        "nothing to mend"
    );

    places.set_enforced(true);
    assert_eq!(list.compare(&wanted).expect("compare"), names(&["eve.x"]));
    assert!(made_right(&list, &wanted).is_unchanged(), "nobody had edited it");
    assert!(list.contains(&eve).expect("look"));
    assert_eq!(
        list.welcome(FIRST, &eve, "10.8.0.2", "").expect("look"),
        Welcome::Elsewhere
    );

    places.set_enforced(false);
    assert!(
        !list.allow(&eve).expect("allow") && entry.is_file(),
        "it is as it should be"
    );
    assert_eq!(list.compare(&wanted).expect("compare"), BTreeSet::new());
    fs::write(&entry, "").expect("an entry that gives her any address");
    assert!(made_right(&list, &wanted).is_unchanged());
    assert!(!entry.exists(), "no entry rather than one without rules");
    assert!(!list.deny(&eve).expect("deny"));
    assert_eq!(list.welcome(FIRST, &eve, "", "").expect("look"), Welcome::Nowhere);
}

#[test]
fn before_a_server_starts_members_go_whom_the_firewall_does_not_hold() {
    let state = state_dir();
    let places = places(&[("eve.x", "engineering")]);
    let list = AllowList::open_pushing(vec![state.path().join("allow")], places.clone()).expect("open");
    let wanted = names(&["alice.x", "eve.x"]);
    made_right(&list, &wanted);
    list.hold_back_unheld().expect("held");
    assert_eq!(list.list().expect("list").names, wanted);

    places.set_enforced(false);
    // Before each try to start it.
    list.hold_back_unheld().expect("held");
    list.hold_back_unheld().expect("held");

    assert_eq!(list.list().expect("list").names, names(&["alice.x"]));
    assert_eq!(
        list.welcome(FIRST, &name("eve.x"), "", "").expect("look"),
        Welcome::HeldBack,
        "she may come back"
    );
    assert!(made_right(&list, &wanted).is_unchanged());
    places.set_enforced(true);
    assert!(made_right(&list, &wanted).is_unchanged(), "nobody had edited it");
    assert_eq!(list.list().expect("list").names, wanted);
}

#[test]
fn a_member_in_a_block_of_another_group_is_let_in_once_the_firewall_has_it_as_that_of_hers() {
    let state = state_dir();
    let places = places(&[("eve.x", "engineering")]);
    let list = AllowList::open_pushing(vec![state.path().join("allow")], places.clone()).expect("open");
    let (eve, sam) = (name("eve.x"), name("sam.x"));
    let mut draft = Draft::of(&places);
    draft.free(&eve);
    draft.commit();
    let mut draft = Draft::of(&places);
    draft.place(&sam, &"sales".parse().expect("a name"));
    draft.commit();

    assert!(!list.allow(&sam).expect("allow"));

    let wanted = names(&["sam.x"]);
    assert_eq!(list.compare(&wanted).expect("compare"), BTreeSet::new());
    places.set_enforced(true);
    assert_eq!(list.compare(&wanted).expect("compare"), wanted);
    assert!(list.allow(&sam).expect("allow"));
}

#[test]
fn who_moves_gets_another_entry_and_who_finds_no_place_gets_none() {
    let state = state_dir();
    let places = places(&[("eve.x", "engineering")]);
    let list = AllowList::open_pushing(vec![state.path().join("allow")], places.clone()).expect("open");
    let eve = name("eve.x");
    let entry = list.dir().join("eve.x");
    let said = || fs::read_to_string(&entry).expect("read");
    list.allow(&eve).expect("allow");
    assert!(said().contains("/engineering\""), "{}", said());

    sit(&places, &[("eve.x", "sales")]);
    assert!(list.allow(&eve).expect("allow"));
    assert!(said().contains("/sales\""), "{}", said());

    sit(&places, &[]);
    assert!(list.allow(&eve).expect("allow"));
    assert!(entry.is_symlink(), "she is back in the group default");

    places.load(vec![(eve.clone(), "sales".parse().expect("a name"))], Vec::new());
    assert!(
        !list.allow(&eve).expect("allow") && !entry.exists(),
        "she waits for a place"
    );
}

#[test]
fn a_session_stays_only_with_the_address_of_its_credential() {
    let state = state_dir();
    let places = places(&[("eve.x", "engineering")]);
    let list = AllowList::open_pushing(vec![state.path().join("allow")], places.clone()).expect("open");
    list.allow_all(&[name("alice.x"), name("eve.x")]).expect("allow");
    places.set_divided(&[true]);
    for (of, address, address6, expected) in [
        ("eve.x", "10.8.128.1", "fd00:8::9001", Welcome::Here),
        ("eve.x", "10.8.128.1", "", Welcome::Here),
        ("eve.x", "", "", Welcome::Here),
        ("eve.x", "10.8.0.2", "", Welcome::Elsewhere),
        ("eve.x", "10.8.128.2", "", Welcome::Elsewhere),
        ("eve.x", "10.8.128.1", "fd00:8::1000", Welcome::Elsewhere),
        // OPENVPN_NETWORK6 was changed, and OpenVPN still runs.
        ("eve.x", "10.8.128.1", "fd00:9::9000", Welcome::Here),
        ("alice.x", "10.8.0.2", "fd00:8::1000", Welcome::Here),
        ("alice.x", "10.8.128.7", "", Welcome::Elsewhere),
        ("mallory.x", "10.8.0.3", "", Welcome::Nowhere),
    ] {
        let found = list.welcome(FIRST, &name(of), address, address6).expect("look");
        assert_eq!(found, expected, "{of} {address} {address6}");
    }
    // An OpenVPN of an earlier release gives such addresses to everybody.
    places.set_divided(&[false]);
    assert_eq!(
        list.welcome(FIRST, &name("alice.x"), "10.8.128.7", "").expect("look"),
        Welcome::Here
    );
}
