//! A node gets everything again: who is a ghost, and who only seems to be one.

use async_nats::{datetime::parse_rfc3339, jetstream::consumer::PullConsumer};
use vpnmanager_nats::{envelope::Envelope, node_requests::NodeRequest, subjects};
use vpnmanager_testbed::wait;

use crate::{
    bus::fleet,
    fake_management::DEADLINE,
    parts::{User, node_id},
};

#[tokio::test]
async fn a_resync_removes_ghosts_and_keeps_the_rest() {
    let (management, mut agent) = fleet().await;
    let (alice, ghost) = (User::new("alice"), User::new("ghost"));
    management.send(vec![ghost.standby(1), alice.standby(1)]).await;
    management.ack_of(alice.key, 1).await;
    management.ack_of(ghost.key, 1).await;
    let subject = subjects::command(&node_id(), ghost.key);
    management.topology.commands().purge().filter(subject).await.unwrap();
    agent.kill().await;
    management.script().resync = true;

    agent.start().await;

    let swept = || async {
        let health = agent.get("/health").await;
        health.is_some_and(|health| health["users"] == 1) && agent.allowed() == [alice.credential.to_string()]
    };
    wait::until(DEADLINE, "the ghost to go", swept)
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", agent.log()));
}

/// Her command was taken before, and handed back because her profile cannot be made: it is not the one that was lost.
#[tokio::test]
async fn a_user_whose_command_is_lost_on_its_way_is_no_ghost() {
    let (management, agent) = fleet().await;
    let (alice, bob) = (User::new("alice"), User::new("bob"));
    management.script().signing_is_down = true;
    management.send(vec![alice.home(1)]).await;
    management.send(vec![bob.standby(1)]).await;
    management.ack_of(bob.key, 1).await;
    let asked = || async { !management.script().asked_to_sign.is_empty() };
    wait::until(DEADLINE, "alice's certificate to be asked for", asked)
        .await
        .unwrap();
    {
        let mut script = management.script();
        (script.resync, script.first_gets_lost) = (true, true);
    }

    let prompt = Envelope::new(NodeRequest::Sync).encode();
    let subject = subjects::node_request(&node_id(), &NodeRequest::Sync);
    management.client.request(subject, prompt).await.unwrap();
    let swept = || async { agent.log().contains("Everything arrived again") };
    wait::until(DEADLINE, "everything to arrive", swept).await.unwrap();
    management.script().signing_is_down = false;
    management.ack_of(alice.key, 1).await;

    assert!(!agent.log().contains("Removed a user"), "{}", agent.log());
    let let_in = [&alice, &bob].map(|user| user.credential.to_string());
    assert_eq!(agent.allowed(), let_in);
}

/// The newest command came during the handshake, before everything began anew: it proves nothing about the others.
#[tokio::test]
async fn users_whose_commands_are_on_their_way_again_are_no_ghosts() {
    let (management, agent) = fleet().await;
    let (alice, bob, carol) = (User::new("alice"), User::new("bob"), User::new("carol"));
    management.send(vec![alice.standby(1), bob.standby(1)]).await;
    management.ack_of(bob.key, 1).await;
    {
        let mut script = management.script();
        (script.resync, script.overtaken) = (true, Some(carol.standby(1)));
    }
    let prompt = Envelope::new(NodeRequest::Sync).encode();
    let subject = subjects::node_request(&node_id(), &NodeRequest::Sync);
    management.client.request(subject, prompt).await.unwrap();
    let told = || async { agent.log().contains("Management sends everything again") };
    wait::until(DEADLINE, "the answer", told).await.unwrap();
    // By then it has looked many times whether it has everything.
    let commands = management.topology.commands();
    let pulls = || async {
        let consumer: PullConsumer = commands.get_consumer(node_id().as_str()).await.unwrap();
        consumer.cached_info().num_waiting > 0
    };
    wait::until(DEADLINE, "the node to pull again", pulls).await.unwrap();

    management.topology.rewind_node_consumer(&node_id()).await.unwrap();
    let swept = || async { agent.log().contains("Everything arrived again") };
    wait::until(DEADLINE, "everything to arrive", swept).await.unwrap();

    assert!(!agent.log().contains("Removed a user"), "{}", agent.log());
    let let_in = [&alice, &bob, &carol].map(|user| user.credential.to_string());
    assert_eq!(agent.allowed(), let_in);
}

#[tokio::test]
async fn a_command_that_was_handed_back_and_does_not_come_again_is_asked_for() {
    let (management, agent) = fleet().await;
    let alice = User::new("alice");
    management.script().signing_is_down = true;
    management.send(vec![alice.home(1)]).await;
    let asked = || async { !management.script().asked_to_sign.is_empty() };
    wait::until(DEADLINE, "alice's certificate to be asked for", asked)
        .await
        .unwrap();
    let (commands, node) = (management.topology.commands(), node_id());
    let (name, forever) = (node.as_str(), parse_rfc3339("2100-01-01T00:00:00Z").unwrap());
    commands.pause_consumer(name, forever).await.unwrap();
    management.script().syncs.clear();

    // Much sooner than the next handshake that is due anyway.
    let lacks = || async { management.script().syncs.iter().any(|sync| sync.unsettled == 0) };
    wait::until(DEADLINE, "the node to say that it holds nothing", lacks)
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", agent.log()));
    management.script().signing_is_down = false;
    commands.resume_consumer(name).await.unwrap();
    management.ack_of(alice.key, 1).await;
}

#[tokio::test]
async fn a_consumer_that_vanishes_during_the_handshake_is_asked_for_at_once() {
    let (management, mut agent) = fleet().await;
    let alice = User::new("alice");
    agent.kill().await;
    management.script().lose_consumer = true;
    agent.start().await;

    management.send(vec![alice.standby(1)]).await;

    // Sooner than a snapshot that does not arrive is given up.
    let applied = || async { agent.allowed() == [alice.credential.to_string()] };
    wait::until(DEADLINE, "the command to be applied", applied)
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", agent.log()));
}
