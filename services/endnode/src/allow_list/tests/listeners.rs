//! Several listeners: a folder for each, and one list.

use super::*;

const SECOND: ListenerNumber = ListenerNumber(1);

/// Slices of 10.8.0.0/16 and fd00:8::/65.
fn sliced(of: &[(&str, &str)]) -> Places {
    let network = "10.8.0.0/17".parse().expect("a network");
    let places = Places::new(Layout::new(network, "fd00:8::/66".parse().ok()));
    sit(&places, of);
    places
}

fn at_two(state: &tempfile::TempDir, places: &Places) -> AllowList {
    AllowList::open_pushing(two(state.path().join("allow")), places.clone()).expect("open")
}

/// Its entry at each listener.
fn entries(list: &AllowList, of: &str) -> Vec<PathBuf> {
    list.dirs().map(|dir| dir.join(of)).collect()
}

fn are_there(list: &AllowList, of: &str) -> Vec<bool> {
    entries(list, of)
        .iter()
        .map(|entry| entry.symlink_metadata().is_ok())
        .collect()
}

/// What becomes of a session without an address at each listener.
fn welcomes(list: &AllowList, of: &str) -> [Welcome; 2] {
    [FIRST, SECOND].map(|number| list.welcome(number, &name(of), "", "").expect("look"))
}

/// Nothing that is there can be replaced or removed as a file is.
fn becomes_a_folder(entry: &Path) {
    _ = fs::remove_file(entry);
    fs::create_dir(entry).expect("a folder");
}

#[test]
fn a_member_has_an_address_in_the_slice_of_each_listener_and_stays_with_that_alone() {
    let (state, places) = (state_dir(), sliced(&[("eve.x", "engineering")]));
    let list = at_two(&state, &places);
    places.set_divided(&[true, true]);
    list.allow_all(&[name("alice.x"), name("eve.x")]).expect("allow");

    let pushes = list
        .pushed_groups()
        .expect("there are some")
        .path_of(&"engineering".parse().expect("a name"));
    let said: Vec<String> = entries(&list, "eve.x")
        .iter()
        .map(|entry| fs::read_to_string(entry).expect("read"))
        .collect();
    let expected = [("10.8.64.1", "fd00:8::9001"), ("10.8.192.1", "fd00:8::4000:0:0:9001")];
    assert_eq!(
        said,
        expected.map(|(address, address6)| format!(
            "ifconfig-push {address} 255.255.128.0\nifconfig-ipv6-push {address6}/66\nconfig \"{}\"\n",
            pushes.display()
        ))
    );
    for entry in entries(&list, "alice.x") {
        assert_eq!(fs::read_link(&entry).expect("a link"), Path::new(TARGET));
        assert_eq!(fs::read(&entry).expect("it leads somewhere"), b"");
    }
    let wanted = names(&["alice.x", "eve.x"]);
    assert_eq!(list.compare(&wanted).expect("compare"), BTreeSet::new());
    for (number, of, address, address6, expected) in [
        (0, "eve.x", "10.8.64.1", "fd00:8::9001", Welcome::Here),
        (1, "eve.x", "10.8.192.1", "fd00:8::4000:0:0:9001", Welcome::Here),
        (1, "eve.x", "10.8.64.1", "", Welcome::Elsewhere),
        (0, "eve.x", "10.8.192.1", "", Welcome::Elsewhere),
        (1, "eve.x", "10.8.192.1", "fd00:8::4000:0:0:1000", Welcome::Elsewhere),
        (0, "alice.x", "10.8.64.1", "", Welcome::Elsewhere),
        (1, "alice.x", "10.8.192.1", "", Welcome::Elsewhere),
        (1, "alice.x", "10.8.128.2", "", Welcome::Here),
        (2, "alice.x", "10.8.128.2", "", Welcome::Nowhere),
    ] {
        let found = list
            .welcome(ListenerNumber(number), &name(of), address, address6)
            .expect("look");
        assert_eq!(found, expected, "{of} {address} {address6} at {number}");
    }
}

#[test]
fn what_somebody_made_of_one_folder_is_mended_there() {
    let (state, places) = (state_dir(), sliced(&[("eve.x", "engineering"), ("sam.x", "sales")]));
    let list = at_two(&state, &places);
    let wanted = names(&["alice.x", "eve.x", "sam.x"]);
    assert_eq!(
        made_right(&list, &wanted).added,
        [name("alice.x"), name("eve.x"), name("sam.x")]
    );
    let second = list.dirs().nth(1).expect("two");
    fs::remove_file(second.join("alice.x")).expect("edit");
    fs::copy(list.dir().join("eve.x"), second.join("eve.x")).expect("the address of another tunnel");
    fs::remove_file(second.join("sam.x")).expect("edit");
    symlink(TARGET, second.join("sam.x")).expect("edit");
    fs::write(second.join("mallory.x"), "").expect("edit");
    assert!(list.contains(&name("mallory.x")).expect("look"));
    assert!(list.list().expect("list").names.contains(&name("mallory.x")));

    let changes = made_right(&list, &wanted);

    let expected = Reconciled {
        added: vec![name("alice.x")],
        removed: vec![name("mallory.x")],
        repaired: vec![name("eve.x"), name("sam.x")],
    };
    assert_eq!(changes, expected);
    assert!(made_right(&list, &wanted).is_unchanged());
    assert_eq!(are_there(&list, "mallory.x"), [false, false]);
}

#[test]
fn who_cannot_be_refused_at_one_listener_is_at_the_other_and_is_remembered() {
    let (state, places) = (state_dir(), sliced(&[]));
    let list = at_two(&state, &places);
    let alice = name("alice.x");
    for number in [0, 1] {
        list.allow(&alice).expect("allow");
        let entries = entries(&list, "alice.x");
        let stuck = entries.get(number).expect("two");
        becomes_a_folder(stuck);

        let refused = list.deny_all(std::slice::from_ref(&alice));

        assert!(matches!(refused, Err(AllowListError::Deny { .. })), "{refused:?}");
        assert_eq!(are_there(&list, "alice.x"), [number == 0, number == 1]);
        assert!(!list.contains(&alice).expect("look"));
        assert_eq!(welcomes(&list, "alice.x"), [Welcome::Nowhere; 2]);
        assert_eq!(list.compare(&BTreeSet::new()).expect("compare"), names(&["alice.x"]));
        fs::remove_dir(stuck).expect("removed");
        assert!(!list.deny(&alice).expect("deny"), "it is gone");
    }
}

#[test]
fn who_can_be_let_in_at_one_listener_alone_is_so_and_the_failure_is_told_and_found() {
    let (state, places) = (state_dir(), sliced(&[("eve.x", "engineering")]));
    let list = at_two(&state, &places);
    let (alice, eve, wanted) = (name("alice.x"), name("eve.x"), names(&["alice.x", "eve.x"]));
    for (number, folder) in list.folders().enumerate() {
        fs::remove_dir(&folder.staging).expect("removed");
        fs::write(&folder.staging, "no file can be made").expect("a file");

        let let_in = list.allow_all(&[eve.clone(), alice.clone()]);

        assert!(matches!(let_in, Err(AllowListError::Allow { .. })), "{let_in:?}");
        assert_eq!(are_there(&list, "alice.x"), [true, true]);
        assert_eq!(are_there(&list, "eve.x"), [number != 0, number != 1]);
        assert!(list.contains(&eve).expect("look"));
        let welcome = |at| {
            if at == number { Welcome::Nowhere } else { Welcome::Here }
        };
        assert_eq!(welcomes(&list, "eve.x"), [0, 1].map(welcome));
        assert_eq!(list.compare(&wanted).expect("compare"), names(&["eve.x"]));
        fs::remove_file(&folder.staging).expect("removed");
        assert_eq!(made_right(&list, &wanted).added, std::slice::from_ref(&eve));
        assert_eq!(welcomes(&list, "eve.x"), [Welcome::Here; 2]);
        list.deny(&eve).expect("deny");
    }
}

#[test]
fn an_entry_that_lets_in_with_more_at_one_listener_goes_there_alone() {
    let (state, places) = (state_dir(), sliced(&[("eve.x", "engineering")]));
    let list = at_two(&state, &places);
    let second = list.folders().nth(1).expect("two");
    for entry in entries(&list, "eve.x") {
        symlink(TARGET, entry).expect("she was in the group default before");
    }
    fs::remove_dir(&second.staging).expect("removed");
    fs::write(&second.staging, "no file can be made").expect("a file");

    assert!(list.allow(&name("eve.x")).is_err());

    assert_eq!(are_there(&list, "eve.x"), [true, false]);
    assert_eq!(welcomes(&list, "eve.x"), [Welcome::Here, Welcome::HeldBack]);
    // It cannot be removed either.
    becomes_a_folder(&second.dir().join("eve.x"));
    assert!(list.allow(&name("eve.x")).is_err());
    assert_eq!(welcomes(&list, "eve.x"), [Welcome::Here, Welcome::HeldBack]);
}

#[test]
fn who_is_held_back_at_one_listener_stays_at_the_other_until_the_firewall_holds_her_rules() {
    let (state, places) = (state_dir(), sliced(&[("eve.x", "engineering")]));
    let list = at_two(&state, &places);
    let (eve, wanted) = (name("eve.x"), names(&["eve.x"]));
    list.allow(&eve).expect("allow");
    places.set_enforced(false);
    let entries = entries(&list, "eve.x");
    fs::write(entries.last().expect("two"), "").expect("an entry that gives her any address");

    assert!(made_right(&list, &wanted).is_unchanged());

    assert_eq!(are_there(&list, "eve.x"), [true, false]);
    assert_eq!(welcomes(&list, "eve.x"), [Welcome::Here, Welcome::HeldBack]);
    let held_back = list.allow_all(std::slice::from_ref(&eve)).expect("allow");
    assert_eq!(held_back, std::slice::from_ref(&eve), "not everywhere");
    assert_eq!(list.compare(&wanted).expect("compare"), BTreeSet::new());
    places.set_enforced(true);
    assert_eq!(list.compare(&wanted).expect("compare"), wanted);
    assert!(made_right(&list, &wanted).is_unchanged(), "nobody had edited it");
    assert_eq!(welcomes(&list, "eve.x"), [Welcome::Here; 2]);
}

#[test]
fn before_a_server_starts_unheld_members_go_at_its_listener_alone() {
    let (state, places) = (state_dir(), sliced(&[("eve.x", "engineering")]));
    let list = at_two(&state, &places);
    let wanted = names(&["alice.x", "eve.x"]);
    made_right(&list, &wanted);
    places.set_enforced(false);

    list.hold_back_unheld_at(SECOND).expect("held");

    assert_eq!(are_there(&list, "eve.x"), [true, false]);
    assert_eq!(are_there(&list, "alice.x"), [true, true]);
    assert_eq!(welcomes(&list, "eve.x"), [Welcome::Here, Welcome::HeldBack]);
    assert_eq!(list.compare(&wanted).expect("compare"), BTreeSet::new());
    becomes_a_folder(&list.dir().join("eve.x"));
    list.hold_back_unheld_at(SECOND)
        .expect("the entry that is stuck is of another listener");
    let stuck = list.hold_back_unheld_at(FIRST);
    assert!(matches!(stuck, Err(AllowListError::Deny { .. })), "{stuck:?}");
    list.hold_back_unheld_at(ListenerNumber(2)).expect("there is none");
}

#[test]
fn unheld_members_who_are_sent_away_go_at_all_listeners_as_far_as_they_can() {
    let (state, places) = (
        state_dir(),
        sliced(&[("eve.x", "engineering"), ("sam.x", "engineering")]),
    );
    let list = at_two(&state, &places);
    made_right(&list, &names(&["alice.x", "eve.x", "sam.x"]));
    places.set_enforced(false);
    becomes_a_folder(&list.dir().join("eve.x"));

    let held_back = list.hold_back_unheld();

    assert!(matches!(held_back, Err(AllowListError::Deny { .. })), "{held_back:?}");
    assert_eq!(are_there(&list, "eve.x"), [true, false]);
    assert_eq!(are_there(&list, "sam.x"), [false, false]);
    assert_eq!(are_there(&list, "alice.x"), [true, true]);
    for of in ["eve.x", "sam.x"] {
        assert_eq!(welcomes(&list, of), [Welcome::HeldBack; 2], "{of}");
    }
}

#[test]
fn a_lost_folder_cuts_nobody_and_is_made_again() {
    let (state, places) = (state_dir(), sliced(&[]));
    let list = at_two(&state, &places);
    let wanted = names(&["alice.x"]);
    made_right(&list, &wanted);
    let second = list.dirs().nth(1).expect("two");
    fs::remove_dir_all(second).expect("removed");

    let lost = |outcome: Result<Welcome, AllowListError>| matches!(outcome, Err(AllowListError::List { .. }));
    assert!(lost(list.welcome(SECOND, &name("alice.x"), "", "")));
    assert_eq!(
        list.welcome(FIRST, &name("alice.x"), "", "").expect("look"),
        Welcome::Here
    );
    assert!(list.contains(&name("alice.x")).expect("the other folder has it"));
    assert!(list.contains(&name("bob.x")).is_err(), "nobody knows");

    assert_eq!(made_right(&list, &wanted).added, [name("alice.x")]);
    assert_eq!(welcomes(&list, "alice.x"), [Welcome::Here; 2]);
}

#[test]
fn a_new_listener_gets_everybody_and_the_folders_of_one_that_is_gone_go() {
    let (state, places) = (state_dir(), sliced(&[("eve.x", "engineering")]));
    let wanted = names(&["alice.x", "eve.x"]);
    let before = at_two(&state, &places);
    made_right(&before, &wanted);
    for kept in ["allow.old", "allow.tcp443.old", "allow.tcp0443", "other.tcp443"] {
        fs::create_dir(state.path().join(kept)).expect("of somebody else");
    }
    fs::write(state.path().join("allow.tcp80"), "").expect("no folder");
    let folders = || {
        let found = fs::read_dir(state.path()).expect("read");
        let found = found.map(|entry| entry.expect("read").file_name().into_string().expect("a name"));
        let mut found: Vec<String> = found.filter(|name| !name.starts_with("pushed")).collect();
        found.sort();
        found
    };
    let others = [
        "allow.old",
        "allow.tcp0443",
        "allow.tcp443.old",
        "allow.tcp80",
        "other.tcp443",
    ];
    let all_and = |ours: &[&str]| {
        let all = others.iter().copied().chain(ours.iter().copied());
        let mut all: Vec<String> = all.map(str::to_owned).collect();
        all.sort();
        all
    };
    assert_eq!(
        folders(),
        all_and(&["allow", "allow.staging", "allow.tcp443", "allow.tcp443.staging"])
    );

    let dirs = ["allow", "allow.udp1195"].map(|name| state.path().join(name));
    let list = AllowList::open_pushing(dirs.to_vec(), places.clone()).expect("open");

    assert_eq!(list.dirs().collect::<Vec<_>>(), dirs);
    assert_eq!(
        folders(),
        all_and(&["allow", "allow.staging", "allow.udp1195", "allow.udp1195.staging"])
    );
    assert_eq!(are_there(&list, "alice.x"), [true, false]);
    assert_eq!(made_right(&list, &wanted).added, [name("alice.x"), name("eve.x")]);
    assert_eq!(are_there(&list, "eve.x"), [true, true]);

    let files = AllowList::open(state.path().join("allow")).expect("in another mode");
    assert_eq!(folders(), all_and(&["allow", "allow.staging"]));
    assert_eq!(files.list().expect("list").names, wanted, "they are still let in");
}

#[test]
fn fixed_addresses_are_those_of_the_first_folder_that_has_an_entry() {
    let (state, places) = (
        state_dir(),
        sliced(&[("eve.x", "engineering"), ("sam.x", "sales"), ("tom.x", "temps")]),
    );
    let list = at_two(&state, &places);
    made_right(&list, &names(&["alice.x", "eve.x", "sam.x", "tom.x"]));
    fs::remove_file(list.dir().join("sam.x")).expect("lost");
    fs::remove_file(list.dir().join("tom.x")).expect("edit");
    symlink(TARGET, list.dir().join("tom.x")).expect("edit");

    let mut fixed = list.fixed().expect("read");

    fixed.sort_by(|one, other| one.0.cmp(&other.0));
    let held = ["eve.x", "sam.x"].map(|of| (name(of), places.place_of(&name(of)).expect("a place")));
    assert_eq!(fixed, held);
}

#[test]
fn the_network_of_each_listener_is_its_slice() {
    let state = state_dir();
    let list = at_two(&state, &sliced(&[]));
    let networks = [FIRST, SECOND].map(|number| list.network_at(number).map(|network| network.to_string()));
    assert_eq!(
        networks,
        ["10.8.0.0/17", "10.8.128.0/17"].map(|text| Some(text.to_owned()))
    );
    let files = AllowList::open(state.path().join("allow")).expect("in another mode");
    assert_eq!(files.network_at(FIRST), None);
}

#[test]
fn a_list_without_a_folder_is_none() {
    let opened = AllowList::open_pushing(Vec::new(), sliced(&[]));
    assert!(matches!(opened, Err(AllowListError::NoFolder)), "{opened:?}");
}
