use super::*;
use crate::groups::{Draft, Holding, Placing};

fn layout(network: &str) -> Layout {
    Layout::new(network.parse().expect("a network"), None)
}

fn name(text: &str) -> CommonName {
    text.parse().expect("a name")
}

fn group(text: &str) -> GroupName {
    text.parse().expect("a name")
}

fn place(of: &str, host: u32) -> Place {
    Place { group: group(of), host }
}

/// Gives the credential a place at once.
fn sits(places: &Places, of: &str, in_group: &str) -> Placing {
    let mut draft = Draft::of(places);
    let placing = draft.place(&name(of), &group(in_group));
    draft.commit();
    placing
}

fn leaves(places: &Places, of: &str) {
    let mut draft = Draft::of(places);
    draft.free(&name(of));
    draft.commit();
}

fn blocks(places: &Places) -> Vec<(u32, String)> {
    let blocks = places.blocks().into_iter();
    blocks.map(|(number, group)| (number, group.to_string())).collect()
}

fn owned(blocks: &[(u32, &str)]) -> Vec<(u32, String)> {
    blocks.iter().map(|(number, of)| (*number, (*of).to_owned())).collect()
}

#[test]
fn each_group_has_blocks_of_its_own_and_gives_them_back_with_its_last_member() {
    let places = Places::new(layout("10.8.0.0/24"));
    let mut watched = places.watch();
    assert!(places.is_empty());

    assert_eq!(
        sits(&places, "eve.x", "engineering"),
        Placing::Given(place("engineering", 128))
    );
    assert_eq!(sits(&places, "sam.x", "sales"), Placing::Given(place("sales", 144)));
    assert!(watched.has_changed().expect("open"));
    watched.borrow_and_update();
    assert_eq!(sits(&places, "sue.x", "sales"), Placing::Given(place("sales", 145)));
    assert_eq!(sits(&places, "sue.x", "sales"), Placing::Kept);
    assert!(!watched.has_changed().expect("open"), "the blocks are the same");
    assert_eq!(blocks(&places), owned(&[(0, "engineering"), (1, "sales")]));

    leaves(&places, "sam.x");
    assert_eq!(places.place_of(&name("sam.x")), None);
    assert!(!watched.has_changed().expect("open"));
    leaves(&places, "eve.x");
    assert!(watched.has_changed().expect("open"));
    assert_eq!(blocks(&places), owned(&[(1, "sales")]));
    assert_eq!(sits(&places, "tom.x", "temps"), Placing::Given(place("temps", 129)));
    assert_eq!(sits(&places, "sid.x", "sales"), Placing::Given(place("sales", 146)));
}

#[test]
fn an_address_that_was_given_back_is_given_again_after_all_others_of_its_block() {
    let places = Places::new(layout("10.8.0.0/24"));
    let mut given = Vec::new();
    for round in 0..17 {
        let mut draft = Draft::of(&places);
        // The last name does not get the last address.
        for of in ["zoe.x", "adam.x"] {
            match draft.place(&name(of), &group("sales")) {
                Placing::Given(place) => given.push(place.host),
                other @ (Placing::Kept | Placing::Full) => panic!("{round}: {other:?}"),
            }
        }
        draft.commit();
        leaves(&places, "zoe.x");
        leaves(&places, "adam.x");
    }
    let expected = (128..144).cycle().take(given.len());
    assert_eq!(given, expected.collect::<Vec<u32>>());
}

#[test]
fn a_group_takes_another_block_when_one_is_full_and_the_last_address_is_never_given() {
    let places = Places::new(layout("10.8.0.0/24"));
    let mut draft = Draft::of(&places);
    let mut given = BTreeSet::new();
    for number in 0..127 {
        match draft.place(&name(&format!("user{number}.x")), &group("sales")) {
            Placing::Given(place) => assert!(given.insert(place.host), "{}", place.host),
            other @ (Placing::Kept | Placing::Full) => panic!("{number}: {other:?}"),
        }
    }
    assert_eq!(draft.place(&name("late.x"), &group("sales")), Placing::Full);
    assert_eq!(draft.place(&name("tom.x"), &group("temps")), Placing::Full);
    assert!(places.is_empty(), "nothing is so before it is journaled");
    draft.commit();

    assert_eq!(given, (128..255).collect::<BTreeSet<u32>>());
    assert_eq!(places.blocks().len(), 8);
    assert_eq!(places.seat_of(&name("late.x")), Seat::Waiting);
    let lack = places.lack().expect("a lack");
    assert!(
        lack.starts_with("OPENVPN_NETWORK (10.8.0.0/24) has no address left for the group sales")
            && lack.contains("late.x, tom.x"),
        "{lack}"
    );

    let lack = places.clone().with_listeners(2).lack().expect("a lack");
    assert!(
        lack.starts_with("OPENVPN_NETWORK, of which each of 2 listeners has a part (10.8.0.0/24 is that of the first), has no address left")
            && lack.contains("group sales: give this node a larger one (/16 at most) or fewer listeners, or"),
        "{lack}"
    );

    leaves(&places, "user7.x");
    assert_eq!(
        sits(&places, "tom.x", "temps"),
        Placing::Full,
        "the block is that of sales"
    );
    assert_eq!(sits(&places, "late.x", "sales"), Placing::Given(place("sales", 135)));
    leaves(&places, "tom.x");
    assert_eq!((places.lack(), places.seat_of(&name("tom.x"))), (None, Seat::Dynamic));
}

#[test]
fn what_was_not_journaled_never_was() {
    let places = Places::new(layout("10.8.0.0/16"));
    sits(&places, "eve.x", "engineering");
    let mut draft = Draft::of(&places);
    assert!(matches!(
        draft.place(&name("sam.x"), &group("sales")),
        Placing::Given(_)
    ));
    assert_eq!(draft.free(&name("eve.x")), Some(place("engineering", 32_769)));
    assert_eq!(
        (draft.place_of(&name("eve.x")), draft.place_of(&name("sam.x"))),
        (None, Some(place("sales", 33_025)))
    );
    drop(draft);
    assert_eq!(places.place_of(&name("eve.x")), Some(place("engineering", 32_769)));
    assert_eq!(places.place_of(&name("sam.x")), None);
}

#[test]
fn who_moves_has_the_new_place_alone_and_nobody_gets_the_old_one_in_the_same_draft() {
    let places = Places::new(layout("10.8.0.0/24"));
    sits(&places, "eve.x", "engineering");
    let mut draft = Draft::of(&places);
    assert_eq!(
        draft.place(&name("eve.x"), &group("sales")),
        Placing::Given(place("sales", 144))
    );
    assert_eq!(
        draft.place(&name("ed.x"), &group("engineering")),
        Placing::Given(place("engineering", 129))
    );
    draft.commit();
    assert_eq!(places.place_of(&name("eve.x")), Some(place("sales", 144)));
    assert_eq!(blocks(&places), owned(&[(0, "engineering"), (1, "sales")]));

    let mut draft = Draft::of(&places);
    draft.free(&name("ed.x"));
    draft.place(&name("ed.x"), &group("sales"));
    draft.commit();
    assert_eq!(blocks(&places), owned(&[(1, "sales")]));
    assert_eq!(places.names().len(), 2);
}

#[test]
fn what_the_journal_holds_is_taken_over_as_far_as_it_fits() {
    let places = Places::new(layout("10.8.0.0/24"));
    let members = [
        ("eve.x", "engineering"),
        ("sam.x", "sales"),
        ("sue.x", "sales"),
        ("sid.x", "sales"),
        ("far.x", "sales"),
        ("last.x", "sales"),
        ("new.x", "temps"),
    ];
    let members = members.map(|(of, in_group)| (name(of), group(in_group))).to_vec();
    let given = vec![
        (name("eve.x"), place("engineering", 130)),
        (name("sam.x"), place("sales", 144)),
        // In a block of another group, and of the group that she was in before.
        (name("sue.x"), place("sales", 131)),
        (name("sid.x"), place("engineering", 132)),
        // Of a larger network, and the last address of this one.
        (name("far.x"), place("sales", 40_000)),
        (name("last.x"), place("sales", 255)),
        // She is in the group `default`.
        (name("alice.x"), place("sales", 150)),
    ];

    places.load(members, given);

    assert_eq!(places.place_of(&name("eve.x")), Some(place("engineering", 130)));
    assert_eq!(places.place_of(&name("sam.x")), Some(place("sales", 144)));
    assert_eq!(places.seat_of(&name("alice.x")), Seat::Dynamic);
    let waiting: Vec<String> = places.waiting().into_iter().map(|(name, _)| name.to_string()).collect();
    assert_eq!(waiting, ["far.x", "last.x", "new.x", "sid.x", "sue.x"]);
    assert_eq!(blocks(&places), owned(&[(0, "engineering"), (1, "sales")]));
}

#[test]
fn who_is_found_on_the_allow_list_keeps_her_address_and_it_is_journaled_when_her_command_comes() {
    let places = Places::new(layout("10.8.0.0/24"));
    places.find(vec![
        (name("eve.x"), place("engineering", 130)),
        (name("sam.x"), place("sales", 150)),
        (name("odd.x"), place("sales", 130)),
    ]);
    assert_eq!(blocks(&places), owned(&[(0, "engineering"), (1, "sales")]));
    let names = |names: BTreeSet<CommonName>| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(names(places.found()), ["eve.x", "sam.x"]);

    assert_eq!(
        sits(&places, "eve.x", "engineering"),
        Placing::Given(place("engineering", 130))
    );
    assert_eq!(sits(&places, "eve.x", "engineering"), Placing::Kept);
    assert_eq!(names(places.found()), ["sam.x"]);
}

#[test]
fn who_gets_a_block_of_another_group_is_not_held_before_the_firewall_has_it_so() {
    let places = Places::new(layout("10.8.0.0/24"));
    let is_held = |of: &str| places.holds(&places.place_of(&name(of)).expect("a place"));
    places.set_enforced(true);
    sits(&places, "eve.x", "admins");
    assert!(is_held("eve.x"), "what the rules do not know reaches nothing");
    // Whoever loads the rules has begun to, and does not know yet that she leaves.
    let (before, change) = (places.blocks(), *places.watch().borrow());
    places.loading(&before);
    leaves(&places, "eve.x");
    sits(&places, "tom.x", "temps");
    assert_eq!(blocks(&places), owned(&[(0, "temps")]));
    assert!(!is_held("tom.x"));

    places.loaded(&before);
    places.note_enforced(Enforced::Held, change);

    assert!(!is_held("tom.x"), "he would be held to the rules of admins");
    places.set_enforced(true);
    assert!(is_held("tom.x"));
}

#[tokio::test(start_paused = true)]
async fn whoever_lets_in_waits_until_the_firewall_has_the_block_as_the_groups() {
    const WITHIN: Duration = Duration::from_secs(1);
    let places = Places::new(layout("10.8.0.0/24"));
    let holding = Holding::ByAddress(places.clone());
    sits(&places, "eve.x", "admins");
    places.set_enforced(true);
    leaves(&places, "eve.x");
    sits(&places, "tom.x", "temps");
    let loads = async {
        tokio::time::sleep(WITHIN / 2).await;
        places.set_enforced(true);
    };
    let (names, began) = ([name("tom.x")], tokio::time::Instant::now());

    tokio::join!(holding.await_rules_for(&names, WITHIN), loads);

    let waited = began.elapsed();
    assert!(waited >= WITHIN / 2 && waited < WITHIN, "{waited:?}");
    holding.await_rules_for(&names, WITHIN).await;
    assert_eq!(began.elapsed(), waited, "he is held");
}

/// As many as a node may hold. It takes far less than a second; a search through all of them for each would take minutes.
#[test]
fn many_members_are_placed_quickly() {
    let places = Places::new(layout("10.8.0.0/16"));
    let groups = ["engineering", "sales", "temps"].map(group);
    let began = std::time::Instant::now();
    for batch in 0..128 {
        let mut draft = Draft::of(&places);
        for number in 0..240 {
            let member = name(&format!("user{}.x", batch * 1000 + number));
            let group = groups.get(number % groups.len()).expect("a group");
            assert!(matches!(draft.place(&member, group), Placing::Given(_)));
        }
        draft.commit();
    }
    assert_eq!(places.names().len(), 30_720);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn a_session_fits_with_the_address_of_its_credential_in_the_slice_of_its_listener() {
    let network6 = "fd00:8::/66".parse().ok();
    let places = Places::new(Layout::new("10.8.0.0/17".parse().expect("a network"), network6));
    places.set_divided(&[true, true]);
    let Placing::Given(given) = sits(&places, "eve.x", "engineering") else {
        panic!("there is room")
    };
    let addresses = [0, 1].map(|number| {
        let slice = places.layout().beside(ListenerNumber(number));
        let address6 = slice.address6(given.host).expect("room");
        (slice.address(given.host).to_string(), address6.to_string())
    });
    let expected = [("10.8.64.1", "fd00:8::9001"), ("10.8.192.1", "fd00:8::4000:0:0:9001")];
    assert_eq!(addresses, expected.map(|(v4, v6)| (v4.to_owned(), v6.to_owned())));
    let fits = |number, of: &str, address: &str, address6: &str| {
        places.fits_at(ListenerNumber(number), &name(of), address, address6)
    };
    for (number, (address, address6)) in expected.into_iter().enumerate() {
        for (other, is_hers) in [(0, number == 0), (1, number == 1)] {
            assert_eq!(fits(other, "eve.x", address, ""), is_hers, "{address} at {other}");
            // That of another slice is of an OpenVPN with an older configuration.
            assert!(fits(other, "eve.x", "", address6), "{address6} at {other}");
            // He has none, and is judged by the network of his listener.
            assert_eq!(fits(other, "alice.x", address, ""), !is_hers, "{address} at {other}");
        }
        let taken = places.layout().beside(ListenerNumber(number)).address6(given.host + 1);
        assert!(!fits(number, "eve.x", "", &taken.expect("room").to_string()));
        assert_eq!(places.fits(&name("eve.x"), address, ""), number == 0);
    }
    // An OpenVPN of an earlier configuration gives such addresses to everybody, and its listener alone.
    for (divided, stays) in [
        (&[true, false][..], [false, true]),
        (&[false, true], [true, false]),
        (&[], [true, true]),
    ] {
        places.set_divided(divided);
        let found = [(0, "10.8.64.1"), (1, "10.8.192.1")].map(|(number, at)| fits(number, "alice.x", at, ""));
        assert_eq!(found, stays, "{divided:?}");
    }
}
