//! A journal that is gone: what comes back, and who is let in meanwhile.

use vpnmanager_testbed::wait;

use crate::{
    agent::Agent,
    bus::{all_settled, fleet},
    fake_management::{DEADLINE, FakeManagement},
    parts::{User, node_id},
};

/// The agent ends, and its journal is gone. Everything was settled before.
async fn ends_and_loses_its_journal(management: &FakeManagement, agent: &mut Agent) {
    all_settled(management).await;
    agent.kill().await;
    agent.lose_journal();
}

/// The first of them come before the node has heard that they are recorded: they are acked.
#[tokio::test]
async fn what_management_has_recorded_of_a_lost_journal_comes_back_without_acks_and_keys() {
    const USERS: usize = 500;
    let (management, mut agent) = fleet().await;
    let users: Vec<User> = (0..USERS)
        .map(|number| User::new(&format!("user{number:03}")))
        .collect();
    management.send(users.iter().map(|user| user.home(1)).collect()).await;
    let all_acked = || async { management.script().acks.len() == USERS };
    wait::until(DEADLINE, "all to be acked", all_acked).await.unwrap();
    ends_and_loses_its_journal(&management, &mut agent).await;
    let recorded_upto = management.topology.newest_command(&node_id()).await.unwrap();
    let carol = User::new("carol");
    management.send(vec![carol.home(1)]).await;
    {
        let mut script = management.script();
        script.recorded_upto = Some(recorded_upto);
        script.asked_to_sign.clear();
    }

    agent.start().await;
    agent.in_sync().await;

    management.ack_of(carol.key, 1).await;
    all_settled(&management).await;
    assert_eq!(agent.allowed().len(), USERS + 1);
    {
        let script = management.script();
        let (acked, asked) = (script.acks.len() - USERS, script.asked_to_sign.len());
        assert!(acked < USERS && asked < USERS, "{acked} acked, {asked} asked for");
    }
    let told = || async {
        let script = management.script();
        script
            .syncs
            .last()
            .is_some_and(|sync| sync.complete && sync.last_sequence > recorded_upto)
    };
    wait::until(DEADLINE, "management to hear that it is whole", told)
        .await
        .unwrap();
}

/// Few commands come before the node has read that everything comes again.
#[tokio::test]
async fn a_node_that_got_everything_again_says_how_far_it_followed() {
    let (management, mut agent) = fleet().await;
    let alice = User::new("alice");
    management.send(vec![alice.standby(1)]).await;
    management.ack_of(alice.key, 1).await;
    ends_and_loses_its_journal(&management, &mut agent).await;
    let before = management.script().syncs.len();

    agent.start().await;
    agent.in_sync().await;

    let newest = management.topology.newest_command(&node_id()).await.unwrap();
    let told = || async {
        let script = management.script();
        let complete = script.syncs[before..].iter().find(|sync| sync.complete);
        complete.map(|sync| sync.last_sequence)
    };
    let followed = wait::until_some(DEADLINE, "the next handshake", told).await.unwrap();
    assert_eq!(followed, newest);
}

/// The journal cannot say which credentials were theirs; the allow-list still has them.
#[tokio::test]
async fn who_is_removed_or_reissued_before_a_lost_journal_is_back_is_refused_at_once() {
    let (management, mut agent) = fleet().await;
    let (alice, bob, carol) = (User::new("alice"), User::new("bob"), User::new("carol"));
    management
        .send(vec![alice.standby(1), bob.standby(1), carol.standby(1)])
        .await;
    for user in [&alice, &bob, &carol] {
        management.ack_of(user.key, 1).await;
    }
    ends_and_loses_its_journal(&management, &mut agent).await;
    management.script().silent = true;
    agent.start().await;
    let reissued = User {
        key: bob.key,
        ..User::new("bob")
    };

    management.send(vec![alice.removed(2), reissued.standby(2)]).await;
    management.ack_of(bob.key, 2).await;
    management.ack_of(alice.key, 2).await;

    let let_in = [&reissued, &carol].map(|user| user.credential.to_string());
    assert_eq!(agent.allowed(), let_in);
    management.script().silent = false;
    agent.in_sync().await;
    assert_eq!(agent.allowed(), let_in);
}

#[tokio::test]
async fn a_journal_that_was_lost_is_not_complete_because_newer_commands_came_before_the_answer() {
    let (management, mut agent) = fleet().await;
    let (alice, bob) = (User::new("alice"), User::new("bob"));
    management.send(vec![alice.standby(1)]).await;
    management.ack_of(alice.key, 1).await;
    ends_and_loses_its_journal(&management, &mut agent).await;
    management.script().silent = true;
    agent.start().await;
    management.send(vec![bob.standby(1)]).await;
    management.ack_of(bob.key, 1).await;
    // On a busy machine the connection to the bus may be told a moment after what came through it.
    let says_so = || async {
        let health = agent.get("/health").await.unwrap();
        health["status"] == "degraded" && health["detail"] == "it does not hold all its users yet"
    };
    wait::until(DEADLINE, "the node to say that it is not whole", says_so)
        .await
        .unwrap();
    let told = || async {
        let beat = management.script().heartbeats.last().cloned();
        beat.is_some_and(|beat| beat.fault.as_deref() == Some("it does not hold all its users yet"))
    };
    wait::until(DEADLINE, "management to hear of it", told).await.unwrap();

    management.script().silent = false;
    agent.in_sync().await;

    let mut allowed = [alice.credential.to_string(), bob.credential.to_string()];
    allowed.sort();
    assert_eq!(agent.allowed(), allowed);
    let health = agent.get("/health").await.unwrap();
    assert_eq!(health["users"], 2, "{health}");
    assert_eq!(health["status"], "ok", "{health}");
}
