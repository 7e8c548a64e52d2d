//! Members of groups on a node whose agent does not run OpenVPN: it can hold nobody to rules.

use vpnmanager_endnode::{backend::VpnBackend as _, groups::Definitions};
use vpnmanager_nats::{
    acks::{Ack, Outcome},
    groups::Groups,
};
use vpnmanager_testbed::wait;

use crate::{
    agent::Agent,
    bus::{all_settled, fleet},
    fake_management::{DEADLINE, FakeManagement},
    groups::{APPLIED, reason, told},
    network::shakes_hands,
    parts::{Parts, User},
};

#[tokio::test]
async fn beside_a_server_that_somebody_else_runs_only_members_of_groups_without_rules_are_let_in() {
    let definitions = Definitions::default();
    let parts = Parts::beside_a_server(definitions.clone());
    let (alice, eve, sam) = (User::new("alice"), User::new("eve"), User::new("sam"));
    assert_eq!(parts.apply(alice.standby(1)).await.applied, APPLIED);
    let unknown = parts.apply(sam.in_group(1, "sales")).await.applied;
    assert!(
        reason(&unknown).contains("knows nothing of the group sales"),
        "{unknown:?}"
    );
    definitions.learn(told(1, &[("default", false), ("engineering", true), ("sales", false)]));

    let applied = parts.apply(eve.in_group(1, "engineering")).await.applied;
    assert!(reason(&applied).contains("set OPENVPN_MODE to managed"), "{applied:?}");
    assert_eq!(parts.apply(sam.in_group(1, "sales")).await.applied, APPLIED, "repeated");
    let may = |users: [&User; 3]| users.map(|user| parts.vpn.connect(&user.credential));
    assert_eq!(may([&alice, &eve, &sam]), [true, false, true]);
    assert!(parts.applier.reconcile().await.unwrap().is_unchanged());

    parts.follows(parts.members(&definitions)).await;
    definitions.learn(told(2, &[("default", true), ("engineering", false), ("sales", true)]));
    let changed = async || may([&alice, &eve, &sam]) == [false, true, false];
    wait::until(wait::SOON, "the list to follow the groups", changed)
        .await
        .unwrap();
    assert_eq!(parts.vpn.enforce().await.unwrap().count, 2, "alice and sam");
    assert_eq!(parts.apply(eve.in_group(1, "engineering")).await.applied, APPLIED);
    let applied = parts.apply(alice.standby(2)).await.applied;
    assert!(reason(&applied).contains("the group default has rules"), "{applied:?}");
    let (holding, journal) = (parts.holding.clone(), parts.journal.clone());
    holding.load(&journal).await.unwrap();
    assert!(
        parts.applier.reconcile().await.unwrap().is_unchanged(),
        "as the journal knows it"
    );
}

fn groups_of(agent: &Agent) -> Option<Groups> {
    agent.journaled("groups")
}

/// Waits for an ack of a user that is as it should be.
async fn acked(management: &FakeManagement, user: &User, is_it: impl Fn(&Outcome) -> bool) -> Ack {
    let find = async || {
        let script = management.script();
        let mut acks = script.acks.iter().filter(|ack| ack.user_key == user.key);
        acks.next_back().filter(|ack| is_it(&ack.outcome)).cloned()
    };
    wait::until_some(DEADLINE, "the ack", find).await.unwrap()
}

#[tokio::test]
async fn what_a_handshake_tells_of_groups_is_journaled_and_decides_who_is_let_in() {
    let (management, mut agent) = fleet().await;
    let (alice, sam) = (User::new("alice"), User::new("sam"));
    let with_rules = told(1, &[("default", false), ("sales", true)]);
    management.script().groups = Some(with_rules.clone());
    shakes_hands(&management).await;
    let holds = async || groups_of(&agent).as_ref() == Some(&with_rules);
    wait::until(DEADLINE, "the groups in the journal", holds).await.unwrap();

    management.send(vec![sam.in_group(1, "sales"), alice.standby(1)]).await;

    let is_failed =
        |outcome: &Outcome| matches!(outcome, Outcome::Failed { error } if error.contains("the group sales has rules"));
    acked(&management, &sam, is_failed).await;
    management.ack_of(alice.key, 1).await;
    assert_eq!(agent.allowed(), [alice.credential.to_string()]);
    let shown = agent.get("/api/users/sam").await.unwrap();
    assert_eq!(shown["group"], "sales", "{shown}");
    assert_eq!(shown["state"], "unheld", "{shown}");
    let detail = shown["detail"].as_str().unwrap();
    assert!(detail.contains("the group sales has rules"), "{detail}");
    assert_eq!(agent.get("/api/users/alice").await.unwrap()["group"], "default");
    assert_eq!(management.script().heartbeats.last().unwrap().groups, None);

    // An older management says nothing of them, and the next run knows what was told last.
    management.script().groups = None;
    agent.kill().await;
    agent.start().await;
    agent.in_sync().await;
    assert_eq!(groups_of(&agent), Some(with_rules));
    assert_eq!(agent.allowed(), [alice.credential.to_string()]);

    management.script().groups = Some(told(2, &[("default", false), ("sales", false)]));
    shakes_hands(&management).await;
    acked(&management, &sam, |outcome| matches!(outcome, Outcome::Applied { .. })).await;
    let both = [&alice, &sam].map(|user| user.credential.to_string());
    assert_eq!(agent.allowed(), both);
    all_settled(&management).await;
}

/// The server has 1,024 commands under way at most.
#[tokio::test]
async fn very_many_members_who_cannot_be_held_are_in_nobodys_way() {
    let (management, agent) = fleet().await;
    let members = (0..1_200).map(|number| User::new(&format!("user{number}")).in_group(1, "sales"));
    let alice = User::new("alice");
    management.send(members.collect()).await;

    management.send(vec![alice.standby(1)]).await;

    management.ack_of(alice.key, 1).await;
    assert_eq!(agent.allowed(), [alice.credential.to_string()]);
}
