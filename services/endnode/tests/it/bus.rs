//! From a command on the bus to its ack, with the real binary and a real nats-server.

use async_nats::jetstream::consumer::PullConsumer;
use vpnmanager_nats::{
    acks::Outcome,
    envelope::Envelope,
    events::EventKind,
    holdings::HeldUser,
    ids::{Revision, UserKey},
    node_requests::{NodeAnswer, NodeRequest},
    subjects,
    topology::reports_stream,
};
use vpnmanager_profile::profile::sha256_hex;
use vpnmanager_testbed::wait;

use crate::{
    agent::Agent,
    fake_management::{DEADLINE, FakeManagement},
    parts::{User, node_id},
};

pub(crate) async fn fleet() -> (FakeManagement, Agent) {
    let management = FakeManagement::start().await;
    let mut agent = Agent::new(node_id().as_str(), &management.url());
    agent.start().await;
    agent.in_sync().await;
    (management, agent)
}

pub(crate) async fn all_settled(management: &FakeManagement) {
    let settled = || async {
        let consumer: PullConsumer = management
            .topology
            .commands()
            .get_consumer(node_id().as_str())
            .await
            .unwrap();
        consumer.cached_info().num_ack_pending == 0 && consumer.cached_info().num_pending == 0
    };
    wait::until(DEADLINE, "all commands settled", settled).await.unwrap();
}

#[tokio::test]
async fn a_create_becomes_a_profile_and_a_delete_takes_it_away() {
    let (management, agent) = fleet().await;
    let alice = User::new("alice");

    management.send(vec![alice.home(1)]).await;
    let ack = management.ack_of(alice.key, 1).await;

    let Outcome::Applied {
        issued: Some(issued),
        note: None,
        ..
    } = ack.outcome
    else {
        panic!("{ack:?}\n{}", agent.log())
    };
    assert_eq!(issued.common_name, alice.credential);
    let file = std::fs::read_to_string(&issued.profile_path).unwrap();
    assert_eq!(agent.allowed(), [alice.credential.to_string()]);

    let question = NodeRequest::Profile {
        user_key: alice.key,
        common_name: alice.credential.clone(),
    };
    let subject = subjects::node_request(&node_id(), &question);
    let reply = management
        .client
        .request(subject, Envelope::new(question).encode())
        .await
        .unwrap();
    let NodeAnswer::ProfileParts(parts) = Envelope::decode(&reply.payload).unwrap().body else {
        panic!("no parts of a profile")
    };
    for (tag, part) in [
        ("cert", parts.certificate),
        ("key", parts.key),
        ("tls-crypt-v2", parts.tls_crypt_v2),
    ] {
        assert!(
            file.contains(&format!("<{tag}>\n{part}</{tag}>\n")),
            "{tag} is another one"
        );
    }
    assert_eq!(sha256_hex(file.as_bytes()), issued.profile_checksum);

    management.send(vec![alice.removed(2)]).await;
    let ack = management.ack_of(alice.key, 2).await;
    let Outcome::Applied {
        issued: None,
        note: Some(note),
        ..
    } = ack.outcome
    else {
        panic!("{ack:?}")
    };
    assert!(
        note.contains("ends no session on this node: OPENVPN_MODE is none"),
        "{note}"
    );
    all_settled(&management).await;
    assert!(agent.allowed().is_empty());
    assert!(!std::path::Path::new(&issued.profile_path).exists());
}

#[tokio::test]
async fn two_hundred_creates_at_once_give_two_hundred_profiles() {
    let (management, agent) = fleet().await;
    let users: Vec<User> = (0..200).map(|number| User::new(&format!("user{number}"))).collect();
    management.send(users.iter().map(|user| user.home(1)).collect()).await;
    for user in &users {
        let ack = management.ack_of(user.key, 1).await;
        assert!(
            matches!(
                ack.outcome,
                Outcome::Applied {
                    issued: Some(_),
                    note: None,
                    ..
                }
            ),
            "{ack:?}"
        );
    }
    assert_eq!(agent.allowed().len(), 200);
    assert_eq!(management.script().certificates.len(), 200);
    all_settled(&management).await;
    assert_eq!(management.script().acks.len(), 200, "each was answered once");
}

#[tokio::test]
async fn a_delete_does_not_wait_for_a_signing_outage_and_the_profile_is_made_after_it() {
    let (management, agent) = fleet().await;
    let (alice, bob) = (User::new("alice"), User::new("bob"));
    management.send(vec![bob.standby(1)]).await;
    management.ack_of(bob.key, 1).await;
    management.script().signing_is_down = true;
    management.send(vec![alice.home(1)]).await;
    let asked = || async { !management.script().asked_to_sign.is_empty() };
    wait::until(DEADLINE, "the request to sign", asked).await.unwrap();

    management.send(vec![bob.removed(2)]).await;
    management.ack_of(bob.key, 2).await;
    assert_eq!(agent.allowed(), [alice.credential.to_string()]);

    management.script().signing_is_down = false;
    let ack = management.ack_of(alice.key, 1).await;
    assert!(
        matches!(ack.outcome, Outcome::Applied { issued: Some(_), .. }),
        "{ack:?}"
    );
}

#[tokio::test]
async fn a_kill_between_signature_and_profile_never_asks_for_a_second_certificate() {
    let (management, mut agent) = fleet().await;
    let alice = User::new("alice");
    management.script().signatures_get_lost = true;
    management.send(vec![alice.home(1)]).await;
    let signed = || async { !management.script().certificates.is_empty() };
    wait::until(DEADLINE, "the signature", signed).await.unwrap();
    agent.kill().await;
    management.script().signatures_get_lost = false;
    // Management gives back at once what the dead run had in hand, as it does for a run that it does not know.
    management.script().resync = true;

    agent.start().await;

    // With another key the certificate would be refused, and the ack would say so.
    let ack = management.ack_of(alice.key, 1).await;
    assert!(
        matches!(
            ack.outcome,
            Outcome::Applied {
                issued: Some(_),
                note: None,
                ..
            }
        ),
        "{ack:?}"
    );
}

#[tokio::test]
async fn a_credential_that_was_signed_for_a_lost_key_is_let_in_without_a_profile() {
    let (management, agent) = fleet().await;
    let alice = User::new("alice");
    let other = rcgen::KeyPair::generate().unwrap();
    let csr = rcgen::CertificateParams::default()
        .serialize_request(&other)
        .unwrap()
        .pem()
        .unwrap();
    management.record_certificate(&alice.credential, csr);

    management.send(vec![alice.home(1)]).await;

    let ack = management.ack_of(alice.key, 1).await;
    assert!(
        matches!(
            ack.outcome,
            Outcome::Applied {
                issued: None,
                note: Some(_),
                ..
            }
        ),
        "{ack:?}"
    );
    assert_eq!(agent.allowed(), [alice.credential.to_string()]);
    management.send(vec![alice.home(2)]).await;
    management.ack_of(alice.key, 2).await;
    assert_eq!(management.script().asked_to_sign.len(), 1, "it asked again");
}

#[tokio::test]
async fn a_command_that_cannot_be_read_is_recorded_and_the_next_one_applied() {
    let (management, agent) = fleet().await;
    let alice = User::new("alice");
    let subject = subjects::command(&node_id(), UserKey::new());
    management
        .topology
        .context()
        .publish(subject.clone(), "{ nonsense".into())
        .await
        .unwrap()
        .await
        .unwrap();
    management.send(vec![alice.standby(1)]).await;

    management.ack_of(alice.key, 1).await;

    assert_eq!(agent.allowed(), [alice.credential.to_string()]);
    let is_it =
        |kind: &EventKind| matches!(kind, EventKind::CommandUndecodable { subject: found, .. } if *found == subject);
    management.event(|event| is_it(&event.kind)).await;
    all_settled(&management).await;
}

#[tokio::test]
async fn what_was_revoked_while_the_agent_was_dead_is_refused_after_its_return() {
    let (management, mut agent) = fleet().await;
    let (alice, bob) = (User::new("alice"), User::new("bob"));
    management.send(vec![alice.standby(1), bob.standby(1)]).await;
    management.ack_of(bob.key, 1).await;
    agent.kill().await;
    management.send(vec![alice.removed(2)]).await;

    agent.start().await;

    management.ack_of(alice.key, 2).await;
    assert_eq!(agent.allowed(), [bob.credential.to_string()]);
}

/// As chaos found it: the server was killed while a batch of acks was on its way. Each was waited for on its own, five seconds each, and no
/// command was taken for minutes.
#[tokio::test]
async fn acks_that_get_no_answer_are_given_up_together() {
    let (management, agent) = fleet().await;
    let context = management.topology.context();
    let answers = async |on: bool| {
        let stream = context.get_stream(reports_stream(&node_id())).await.unwrap();
        let mut config = stream.cached_info().config.clone();
        config.no_ack = !on;
        context.update_stream(config).await.unwrap();
    };
    let users: Vec<User> = (0..20).map(|number| User::new(&format!("user{number}"))).collect();
    answers(false).await;

    management
        .send(users.iter().map(|user| user.standby(1)).collect())
        .await;

    let noticed = || async { agent.log().contains("The bus does not take the reports") };
    wait::until(DEADLINE, "the silence to be noticed", noticed)
        .await
        .unwrap();
    let fault = management.last_fault(Option::is_some).await.unwrap();
    assert!(fault.starts_with("the bus takes no acks since 20"), "{fault}");
    answers(true).await;
    let settled = tokio::time::timeout(DEADLINE, all_settled(&management)).await;
    settled.unwrap_or_else(|_| panic!("{}", agent.log()));
    management.last_fault(Option::is_none).await;
}

#[tokio::test]
async fn heartbeats_carry_the_state_and_a_refusal_is_obeyed_and_lifted() {
    let (management, mut agent) = fleet().await;
    let alice = User::new("alice");
    management.send(vec![alice.standby(1)]).await;
    let told = || async {
        management
            .script()
            .heartbeats
            .last()
            .is_some_and(|beat| beat.users == 1 && beat.complete)
    };
    wait::until(DEADLINE, "a heartbeat with the user", told).await.unwrap();
    let beat = management.script().heartbeats.last().cloned().unwrap();
    assert_eq!(
        beat.digest,
        vpnmanager_nats::sync::StateDigest::of(alice.key, Revision(1))
    );
    assert!(beat.certificate_expires_at.is_some() && beat.disk_free_bytes.is_some());

    management.script().refuse = Some("deregistered".to_owned());
    agent.kill().await;
    agent.start().await;
    let detail = is_refused(&agent).await;
    assert!(
        detail.starts_with("deregistered. ") && detail.contains("end those that are open"),
        "{detail}"
    );
    let locked = || async { agent.allowed().is_empty() };
    wait::until(DEADLINE, "the allow-list to be empty", locked)
        .await
        .unwrap();

    // Before the next run can ask, nobody is let in either.
    agent.kill().await;
    std::fs::write(agent.dir.join("allow").join(alice.credential.as_str()), "").unwrap();
    agent.start().await;
    is_refused(&agent).await;
    assert!(agent.allowed().is_empty());

    management.script().refuse = None;
    agent.in_sync().await;
    let back = || async { agent.allowed() == [alice.credential.to_string()] };
    wait::until(DEADLINE, "the allow-list to be back", back).await.unwrap();
}

#[tokio::test]
async fn a_stopped_agent_hands_back_and_ends_in_time() {
    let (management, mut agent) = fleet().await;
    let users: Vec<User> = (0..50).map(|number| User::new(&format!("user{number}"))).collect();
    management.send(users.iter().map(|user| user.home(1)).collect()).await;
    let took = agent.stop().await;
    assert!(took < std::time::Duration::from_secs(10), "{took:?}");
    agent.start().await;
    for user in &users {
        management.ack_of(user.key, 1).await;
    }
    assert_eq!(management.script().certificates.len(), 50);
}

/// Waits until the local `/health` says so, and returns its detail.
async fn is_refused(agent: &Agent) -> String {
    let refused = async || {
        let health = agent
            .get("/health")
            .await
            .filter(|health| health["status"] == "refused")?;
        Some(health["detail"].as_str().unwrap_or_default().to_owned())
    };
    wait::until_some(DEADLINE, "the refusal", refused).await.unwrap()
}

#[tokio::test]
async fn an_agent_that_runs_no_openvpn_says_why_it_restarts_none() {
    let (management, _agent) = fleet().await;
    for only_ask in [true, false] {
        let request = NodeRequest::RestartServer { only_ask };
        let subject = subjects::node_request(&node_id(), &request);

        let reply = management
            .client
            .request(subject, Envelope::new(request).encode())
            .await
            .unwrap();

        let answer = Envelope::<NodeAnswer>::decode(&reply.payload).unwrap().body;
        let NodeAnswer::Failed { error } = answer else {
            panic!("another answer")
        };
        assert!(
            error.starts_with("OPENVPN_MODE is none: the agent runs no OpenVPN"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_node_tells_what_it_holds_of_each_user_removed_ones_too() {
    let (management, _agent) = fleet().await;
    let (alice, bob) = (User::new("alice"), User::new("bob"));
    management.send(vec![alice.standby(3), bob.standby(1)]).await;
    management.ack_of(alice.key, 3).await;
    management.send(vec![bob.removed(2)]).await;
    management.ack_of(bob.key, 2).await;

    let ask = async |after| {
        let request = NodeRequest::Users { after };
        let subject = subjects::node_request(&node_id(), &request);
        let asked = management.client.request(subject, Envelope::new(request).encode());
        let NodeAnswer::Users { users, more, complete } = Envelope::decode(&asked.await.unwrap().payload).unwrap().body
        else {
            panic!("another answer")
        };
        assert!(complete && !more);
        users
    };
    let users = ask(None).await;
    let of = |user: &User| users.iter().find(|held| held.user_key == user.key).unwrap();
    assert_eq!(users.len(), 2);
    assert_eq!(*of(&alice), HeldUser::from(&alice.standby(3)));
    assert_eq!(*of(&bob), HeldUser::from(&bob.removed(2)));
    assert_eq!(ask(Some(users[0].user_key)).await, users[1..]);
    assert_eq!(ask(Some(users[1].user_key)).await, []);
}
