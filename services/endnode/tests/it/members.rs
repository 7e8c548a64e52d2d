//! Members of groups: what becomes of them when the firewall, the groups or the agent changes.

use serde_json::json;
use vpnmanager_endnode::{
    allow_list::AllowList,
    apply::{Applied, Applier, Projected},
    backend::{FilesOnlyBackend, Parting, VpnBackend as _},
    coordination::readiness::Readiness,
    groups::{Definitions, Holding},
    journal::Membership,
    tasks::groups::Members,
    vpn::Vpn,
};
use vpnmanager_nats::{
    acks::Outcome,
    commands::{Command, PutUser},
    envelope::Envelope,
    groups::GroupName,
    heartbeats::Heartbeat,
    ids::{CommonName, Revision},
    node_requests::{NodeAnswer, NodeRequest},
    subjects,
};
use vpnmanager_testbed::wait;

use crate::{
    bus::fleet,
    fake_management::{DEADLINE, FakeManagement},
    groups::{APPLIED, held, suspended, told},
    network::shakes_hands,
    parts::{Parts, User, node_id, places_in},
};

#[tokio::test]
async fn who_moves_and_is_held_back_is_sent_to_the_next_node_and_that_is_told() {
    let (parts, alice) = (Parts::in_network("10.8.0.0/16"), User::new("alice"));
    parts.apply(alice.standby(1)).await;
    assert!(parts.vpn.connect(&alice.credential));

    let moved = parts.apply(alice.in_group(2, "sales")).await.applied;

    let told_of = |applied: Applied| match applied {
        Applied::Answered(Outcome::Applied { note, .. }) => note,
        Applied::Issuing(order) => order.note,
        Applied::Answered(_) | Applied::Unheld(_) => panic!("{applied:?}"),
    };
    let note = told_of(moved).unwrap();
    assert!(
        note.starts_with("refused until the firewall holds the rules of groups"),
        "{note}"
    );
    assert_eq!(parts.vpn.partings(), [(alice.credential.clone(), Parting::NextRemote)]);
    assert!(!parts.vpn.connect(&alice.credential), "she would be refused here");
    // Also where a profile has to be made before the ack.
    let bob = User::new("bob");
    let mut home = bob.home(1);
    if let Command::PutUser(put) = &mut home {
        put.group = Some("sales".parse().unwrap());
    }
    assert_eq!(told_of(parts.apply(home).await.applied).as_deref(), Some(note.as_str()));

    parts.places().set_enforced(true);
    parts.applier.reconcile().await.unwrap();
    assert!(parts.vpn.connect(&alice.credential));
    assert_eq!(
        parts.apply(alice.in_group(2, "sales")).await.applied,
        APPLIED,
        "nothing is to be told"
    );
}

/// What is taken away for a moment costs whoever has it her session.
#[tokio::test]
async fn a_start_makes_entries_of_members_anew_once_the_firewall_holds_their_rules_and_leaves_them_before() {
    let (parts, alice, ghost) = (held("10.8.0.0/16"), User::new("alice"), User::new("ghost"));
    parts.apply(alice.in_group(1, "sales")).await;
    let places = places_in("10.8.0.0/16");
    // Of two listeners.
    let dirs = vec![parts.dir.allow(), parts.dir.allow().with_file_name("allow.tcp443")];
    let list = AllowList::open_pushing(dirs, places.clone()).unwrap();
    let entries = |user: &User| -> Vec<_> { list.dirs().map(|dir| dir.join(user.credential.as_str())).collect() };
    for entry in [&alice, &ghost].map(entries).concat() {
        // As another release makes them.
        std::fs::write(entry, "ifconfig-push 10.8.128.1 255.255.0.0\n").unwrap();
    }
    let holding = Holding::ByAddress(places.clone());
    holding.load(&parts.journal).await.unwrap();
    let projected = Projected {
        vpn: Vpn::from(FilesOnlyBackend::new(list.clone())),
        holding,
        profiles: parts.dir.profiles(),
    };
    let applier = Applier::new(parts.node.clone(), parts.journal.clone(), projected);

    let refused = applier.refuse_unwanted().await.unwrap();

    assert_eq!(refused, std::slice::from_ref(&ghost.credential));
    let are_there = |user: &User| entries(user).iter().map(|entry| entry.exists()).collect::<Vec<_>>();
    assert_eq!((are_there(&alice), are_there(&ghost)), (vec![true; 2], vec![false; 2]));
    places.set_enforced(true);
    let changes = applier.reconcile().await.unwrap();
    assert_eq!(changes.repaired, std::slice::from_ref(&alice.credential));
    for (entry, address) in entries(&alice).iter().zip(["10.8.128.1", "10.9.128.1"]) {
        let text = std::fs::read_to_string(entry).unwrap();
        assert!(
            text.starts_with(&format!("ifconfig-push {address} 255.255.0.0\n")),
            "{text}"
        );
        assert!(text.contains("/sales\""), "{text}");
    }
}

#[tokio::test]
async fn a_change_of_the_groups_changes_nothing_by_a_journal_that_is_not_complete() {
    let definitions = Definitions::default();
    let (parts, readiness) = (Parts::beside_a_server(definitions.clone()), Readiness::new(false, None));
    let (alice, mallory) = (User::new("alice"), User::new("mallory"));
    // The journal has lost her, and that he was revoked.
    parts.vpn.allow(std::slice::from_ref(&alice.credential)).await.unwrap();
    parts.apply(mallory.standby(1)).await;
    parts.vpn.deny(std::slice::from_ref(&mallory.credential)).await.unwrap();
    let members = Members {
        readiness: readiness.clone(),
        ..parts.members(&definitions)
    };
    parts.follows(members).await;

    definitions.learn(told(1, &[("default", false)]));

    tokio::task::yield_now().await;
    // Whoever changes the list has the turn, which this waits for.
    parts.applier.look_for_unknown().await.unwrap();
    let may = || [&alice, &mallory].map(|user| parts.vpn.connect(&user.credential));
    assert_eq!(may(), [true, false]);

    readiness.completed();
    definitions.learn(told(2, &[("default", false)]));
    let as_journaled = async || may() == [false, true];
    wait::until(wait::SOON, "the list to be as the journal has it", as_journaled)
        .await
        .unwrap();
}

#[tokio::test]
async fn who_logged_in_before_her_group_was_known_logs_in_again_once_for_its_routes() {
    let (parts, definitions) = (held("10.8.0.0/16"), Definitions::default());
    let (alice, bob, carol) = (User::new("alice"), User::new("bob"), User::new("carol"));
    let applied = |revision, groups: &[(&str, bool)]| {
        definitions.learn(told(revision, groups));
        definitions.note_applied(Some(Revision(revision)));
    };
    applied(1, &[("default", false)]);
    parts.follows(parts.members(&definitions)).await;
    parts.apply(alice.in_group(1, "sales")).await;
    parts.apply(bob.standby(1)).await;
    assert!(parts.vpn.connect(&alice.credential) && parts.vpn.connect(&bob.credential));
    let sent_back = async |users: &[&User]| {
        let expected: Vec<_> = users
            .iter()
            .map(|user| (user.credential.clone(), Parting::Reconnect))
            .collect();
        let are_sent = async || parts.vpn.partings() == expected;
        wait::until(wait::SOON, "members to be sent back", are_sent)
            .await
            .unwrap();
    };

    applied(2, &[("default", false), ("sales", true)]);

    sent_back(&[&alice]).await;
    assert!(parts.vpn.connect(&alice.credential));
    parts.apply(carol.in_group(1, "temps")).await;
    assert!(parts.vpn.connect(&carol.credential));
    applied(3, &[("default", false), ("sales", false)]);
    applied(4, &[("default", false), ("sales", false), ("temps", false)]);
    sent_back(&[&alice, &carol]).await;
}

/// The answer of the node to a command that comes beside the stream.
async fn asked(management: &FakeManagement, command: Command) -> Outcome {
    let question = NodeRequest::Apply { command };
    let subject = subjects::node_request(&node_id(), &question);
    let request = management.client.request(subject, Envelope::new(question).encode());
    let answer: Envelope<NodeAnswer> = Envelope::decode(&request.await.unwrap().payload).unwrap();
    let NodeAnswer::Acked { ack } = answer.body else {
        panic!("another answer")
    };
    ack.outcome
}

#[tokio::test]
async fn a_command_beside_the_stream_waits_until_its_group_is_told_and_what_ends_access_for_nothing() {
    let (management, agent) = fleet().await;
    let (sam, tom) = (User::new("sam"), User::new("tom"));
    management.script().groups = Some(told(1, &[("default", false), ("sales", false)]));

    let outcome = asked(&management, sam.in_group(1, "sales")).await;

    assert!(matches!(outcome, Outcome::Applied { .. }), "{outcome:?}");
    assert_eq!(agent.allowed(), [sam.credential.to_string()]);
    let before = management.script().syncs.len();
    for command in [suspended(&sam, 2, "temps"), sam.removed(3), suspended(&tom, 1, "temps")] {
        let outcome = asked(&management, command).await;
        assert!(matches!(outcome, Outcome::Applied { .. }), "{outcome:?}");
    }
    assert_eq!(management.script().syncs.len(), before, "nothing is asked for them");
    assert!(agent.allowed().is_empty());
}

/// Waits for a heartbeat that is as it should be.
async fn beats(management: &FakeManagement, is_it: impl Fn(&Heartbeat) -> bool) -> Heartbeat {
    let newest = async || {
        management
            .script()
            .heartbeats
            .last()
            .filter(|beat| is_it(beat))
            .cloned()
    };
    wait::until_some(DEADLINE, "the heartbeat", newest).await.unwrap()
}

#[tokio::test]
async fn a_node_that_does_not_let_in_a_group_says_so_and_is_degraded_once_that_is_the_group_of_all_others() {
    let (management, agent) = fleet().await;
    let (alice, sam) = (User::new("alice"), User::new("sam"));
    management.script().groups = Some(told(1, &[("default", false), ("sales", false)]));
    management.send(vec![alice.standby(1), sam.in_group(1, "sales")]).await;
    management.ack_of(alice.key, 1).await;
    management.ack_of(sam.key, 1).await;

    management.script().groups = Some(told(2, &[("default", false), ("sales", true)]));
    shakes_hands(&management).await;

    let detail = |beat: &Heartbeat| beat.openvpn.detail.clone().unwrap_or_default();
    let beat = beats(&management, |beat| {
        detail(beat).contains(": sales (credentials: 1). Set")
    })
    .await;
    assert_eq!(beat.fault, None, "who is in no other group is let in");

    management.script().groups = Some(told(3, &[("default", true), ("sales", true)]));
    shakes_hands(&management).await;

    let beat = beats(&management, |beat| beat.fault.is_some()).await;
    let fault = beat.fault.unwrap();
    assert!(
        fault.contains(": default (everybody in no other group), sales (credentials: 1)."),
        "{fault}"
    );
    let health = agent.get("/health").await.unwrap();
    assert_eq!(
        (&health["status"], &health["detail"]),
        (&json!("degraded"), &json!(fault))
    );
    let is_empty = async || agent.allowed().is_empty();
    wait::until(DEADLINE, "nobody to be let in", is_empty).await.unwrap();
}

#[tokio::test]
async fn the_membership_of_a_credential_is_that_of_its_user() {
    let parts = Parts::new();
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(User::new);
    parts.apply(alice.standby(1)).await;
    for (user, group, metered) in [(&bob, "sales", true), (&carol, "sales", false)] {
        let put = PutUser {
            group: Some(group.parse().unwrap()),
            metered,
            ..user.put(1)
        };
        parts.apply(Command::PutUser(put)).await;
    }
    parts.apply(carol.removed(2)).await;
    let names = [&alice, &bob, &carol].map(|user| user.credential.clone());
    let mut asked = names.to_vec();
    asked.push(alice.another_credential());

    let memberships = parts.journal.read(move |records| records.memberships_of(&asked)).await;

    let memberships: Vec<_> = memberships.unwrap().into_iter().collect();
    let [alice, bob, _carol] = names;
    let is = |credential: CommonName, group: &str, is_metered: bool| {
        let group = group.parse::<GroupName>().unwrap();
        (credential, Membership { group, is_metered })
    };
    assert_eq!(memberships, [is(alice, "default", false), is(bob, "sales", true)]);
}

#[tokio::test]
async fn a_node_knows_whether_anybody_has_a_quota_of_their_own() {
    let parts = Parts::new();
    let alice = User::new("alice");
    let is_anybody = async || {
        let asked = parts.journal.read(|records| records.is_anybody_metered());
        asked.await.unwrap()
    };
    let own_quota = |revision: i64, metered: bool| {
        Command::PutUser(PutUser {
            metered,
            ..alice.put(revision)
        })
    };
    parts.apply(alice.standby(1)).await;
    assert!(!is_anybody().await);
    parts.apply(own_quota(2, true)).await;
    assert!(is_anybody().await);
    parts.apply(own_quota(3, false)).await;
    assert!(!is_anybody().await);
    parts.apply(own_quota(4, true)).await;
    assert!(is_anybody().await);
    parts.apply(alice.removed(5)).await;
    assert!(!is_anybody().await);
}
