//! A reply goes wherever the request says: what node n1 tries to have written for it by the server and by management.

use std::time::Duration;

use async_nats::Subject;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::time::{sleep, timeout};
use vpnmanager_nats::{ids::UserKey, permissions::is_request_of_management, subjects};

use crate::fixture::{Bus, DEADLINE, Management, Node};

struct Scene {
    bus: Bus,
    management: Management,
    n1: Node,
    n2: Node,
    alice: String,
}

async fn scene() -> Scene {
    let bus = Bus::start().await;
    let management = bus.management().await;
    let n1 = bus.node(&management, "n1").await;
    let n2 = bus.node(&management, "n2").await;
    let alice = management.command(&n2.id).await;
    management.command(&n1.id).await;
    Scene {
        bus,
        management,
        n1,
        n2,
        alice,
    }
}

impl Scene {
    /// Where a forged reply would do harm.
    fn targets(&self) -> Vec<String> {
        let user = UserKey::new();
        [
            self.alice.clone(),
            format!("vpn.cmd.n2.{user}"),
            format!("vpn.ack.n2.{user}"),
            "vpn.event.n2.user_expired".into(),
        ]
        .into()
    }
}

/// After this, whatever the server was still going to store for earlier requests is stored: the same paths were walked again, in order.
async fn settle(scene: &mut Scene) {
    let mark = subjects::ack(&scene.n1.id, UserKey::new());
    scene
        .n1
        .jetstream()
        .publish(mark, "mark".into())
        .await
        .unwrap()
        .await
        .unwrap();
    assert_eq!(
        scene.n1.barrier().await,
        Vec::<String>::new(),
        "the attempt must be one that the server permits"
    );
    scene.management.command(&"n9".parse().unwrap()).await;
}

/// The server holds each such request with the reply subject that the node chose, which may be long.
#[tokio::test]
async fn a_reply_to_what_nobody_answers_comes_nowhere_after_two_seconds_and_one_to_a_request_does() {
    let mut scene = scene().await;
    let management = scene.management.client.clone();
    let mut answers = scene.n1.client.subscribe("_INBOX.n1.late.>").await.unwrap();
    for (reply, (pattern, comes)) in [(subjects::ALL_HEARTBEATS, false), (subjects::ALL_SYNCS, true)]
        .into_iter()
        .enumerate()
    {
        let mut requests = management.subscribe(pattern).await.unwrap();
        // A round trip: the server has handled what went before.
        scene.management.command(&"n9".parse().unwrap()).await;
        scene
            .n1
            .client
            .publish_with_reply(
                pattern.replace('*', "n1"),
                format!("_INBOX.n1.late.{reply}"),
                "{}".into(),
            )
            .await
            .unwrap();
        scene.n1.barrier().await;
        let request = timeout(DEADLINE, requests.next()).await.unwrap().unwrap();

        sleep(Duration::from_secs(2)).await;
        management
            .publish(request.reply.unwrap(), "answer".into())
            .await
            .unwrap();
        // A round trip: the server has handled what went before.
        scene.management.command(&"n9".parse().unwrap()).await;
        scene.n1.barrier().await;
        let came = answers.next().now_or_never().is_some();
        assert_eq!(came, comes, "{pattern}");
    }
}

#[tokio::test]
async fn an_ack_cannot_have_its_receipt_written_over_a_command() {
    let mut scene = scene().await;
    let before = scene.management.stored().await;
    let targets = scene.targets();

    for target in &targets {
        let own = subjects::ack(&scene.n1.id, UserKey::new());
        scene
            .n1
            .client
            .publish_with_reply(own, target.clone(), "{}".into())
            .await
            .unwrap();
    }
    settle(&mut scene).await;

    let after = scene.management.stored().await;
    // The acks themselves are n1's own and are there, so the server did process each request.
    assert_eq!(after.on("vpn.ack.n1").len(), targets.len() + 1);
    assert_eq!(after.on("vpn.cmd.n2"), before.on("vpn.cmd.n2"));
    assert_eq!(after.on("vpn.ack.n2").len() + after.on("vpn.event.n2").len(), 0);
    assert_eq!(after.messages.len(), before.messages.len() + targets.len() + 2);
}

#[tokio::test]
async fn a_pull_cannot_have_its_commands_delivered_as_acks_or_commands() {
    let mut scene = scene().await;
    let before = scene.management.stored().await;
    let targets = scene.targets();

    for target in &targets {
        scene.management.command(&scene.n1.id).await;
        let next = "jsvpn.CONSUMER.MSG.NEXT.VPN_COMMANDS.n1";
        scene
            .n1
            .client
            .publish_with_reply(next, target.clone(), r#"{"batch":1}"#.into())
            .await
            .unwrap();
    }
    settle(&mut scene).await;

    let after = scene.management.stored().await;
    assert!(
        after.consumers["n1"].0 > before.consumers["n1"].0,
        "the server did deliver commands somewhere"
    );
    assert_eq!(after.on("vpn.cmd.n2"), before.on("vpn.cmd.n2"));
    assert_eq!(after.on("vpn.ack.n2").len() + after.on("vpn.event.n2").len(), 0);
    assert_eq!(after.messages.len(), before.messages.len() + targets.len() + 2);
}

#[tokio::test]
async fn an_answer_of_management_cannot_be_turned_into_an_ack_or_a_heartbeat() {
    let mut scene = scene().await;
    let mut heartbeats = scene
        .management
        .client
        .subscribe(subjects::ALL_HEARTBEATS)
        .await
        .unwrap();
    let mut syncs = scene.management.client.subscribe(subjects::ALL_SYNCS).await.unwrap();
    scene.management.topology.context().query_account().await.unwrap();
    let mut targets = scene.targets();
    targets.push(subjects::health(&scene.n2.id));
    let before = scene.management.stored().await;

    for target in &targets {
        let sync = subjects::sync(&scene.n1.id);
        scene
            .n1
            .client
            .publish_with_reply(sync, target.clone(), "{}".into())
            .await
            .unwrap();
        let request = timeout(DEADLINE, syncs.next()).await.unwrap().unwrap();
        let reply = request.reply.expect("the server gave a reply subject");
        assert!(
            is_request_of_management(Some(&reply)),
            "management sees the server's reply subject, not {target}"
        );
        scene
            .management
            .client
            .publish(reply, "what the attacker wants".into())
            .await
            .unwrap();
    }
    scene.management.topology.context().query_account().await.unwrap();
    settle(&mut scene).await;

    let after = scene.management.stored().await;
    assert_eq!(after.messages.len(), before.messages.len() + 2);
    assert_eq!(after.on("vpn.cmd.n2"), before.on("vpn.cmd.n2"));
    assert_eq!(after.on("vpn.ack.n2").len() + after.on("vpn.event.n2").len(), 0);
    // The next heartbeat that management hears is a real one.
    scene
        .n2
        .client
        .publish(subjects::health(&scene.n2.id), "real".into())
        .await
        .unwrap();
    assert_eq!(
        timeout(DEADLINE, heartbeats.next())
            .await
            .unwrap()
            .unwrap()
            .payload
            .as_ref(),
        b"real"
    );
}

/// Inside the account of the nodes a diverted reply does reach another node's request subject. It must be tellable from a request.
#[tokio::test]
async fn what_is_diverted_to_a_nodes_requests_does_not_look_like_one() {
    let Scene {
        bus: _bus,
        management,
        n1,
        n2,
        ..
    } = scene().await;
    let mut requests = n2.client.subscribe(subjects::node_requests_of(&n2.id)).await.unwrap();
    n2.consumer().await;
    let mut syncs = management.client.subscribe(subjects::ALL_SYNCS).await.unwrap();
    management.topology.context().query_account().await.unwrap();
    let target = || Subject::from("vpn.node.n2.sessions");

    n1.client
        .publish_with_reply(subjects::ack(&n1.id, UserKey::new()), target(), "{}".into())
        .await
        .unwrap();
    n1.client
        .publish_with_reply(
            "jsvpn.CONSUMER.MSG.NEXT.VPN_COMMANDS.n1",
            target(),
            r#"{"batch":1}"#.into(),
        )
        .await
        .unwrap();
    n1.client
        .publish_with_reply(subjects::sync(&n1.id), target(), "{}".into())
        .await
        .unwrap();
    let sync = timeout(DEADLINE, syncs.next()).await.unwrap().unwrap();
    management
        .client
        .publish(sync.reply.unwrap(), "{}".into())
        .await
        .unwrap();

    for _ in 0..3 {
        let diverted = timeout(DEADLINE, requests.next())
            .await
            .expect("diverted, as known")
            .unwrap();
        let reply = diverted.reply.as_deref();
        assert!(!is_request_of_management(reply), "{reply:?} on {}", diverted.subject);
    }
    let (answer, ()) = tokio::join!(management.client.request("vpn.node.n2.sessions", "{}".into()), async {
        let real = timeout(DEADLINE, requests.next())
            .await
            .unwrap()
            .unwrap()
            .reply
            .unwrap();
        assert!(is_request_of_management(Some(&real)), "{real}");
        n2.client.publish(real, "answer".into()).await.unwrap();
    });
    assert_eq!(answer.unwrap().payload.as_ref(), b"answer");
}
