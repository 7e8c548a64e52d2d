//! What node n1 tries in the name of n2 or of the server, one by one.

use async_nats::jetstream::consumer::AckPolicy;
use futures_util::StreamExt as _;
use tokio::time::timeout;
use vpnmanager_nats::{ids::UserKey, node_requests::NodeRequest, subjects};

use crate::fixture::{Bus, DEADLINE, NodeIdentity};

/// Publishing on any of these would forge, read, divert or destroy something.
fn forbidden_publishes(alice: &str) -> Vec<String> {
    let user = UserKey::new();
    let mut subjects: Vec<String> = [
        // In the name of n2.
        format!("vpn.ack.n2.{user}"),
        "vpn.ack.n2".into(),
        "vpn.event.n2.user_expired".into(),
        "vpn.health.n2".into(),
        "vpn.sync.n2".into(),
        "vpn.sign.n2".into(),
        "vpn.intent.n2".into(),
        "$JS.ACK.VPN_COMMANDS.n2.1.1.1.1.0".into(),
        "$JS.ACK.VPN_EVENTS_n1.mgmt-acks.1.1.1.1.0".into(),
        "$JS.ACK.VPN_EVENTS_n2.mgmt-acks.1.1.1.1.0".into(),
        // In the name of management, own commands included.
        alice.into(),
        format!("vpn.cmd.n1.{user}"),
        "vpn.node.n2.profile".into(),
        "vpn.node.n1.profile".into(),
        // Into somebody's replies.
        "_INBOX.n2.x".into(),
        "_INBOX.n1.x".into(),
        "_INBOX.x".into(),
        "_R_.JzrGha.x8Ja3L".into(),
        // The server's own.
        "$SYS.REQ.CLAIMS.UPDATE".into(),
        "$SYS.REQ.SERVER.PING".into(),
        "$SYS.REQ.ACCOUNT.NODES.CONNZ".into(),
    ]
    .into();
    let api = [
        "CONSUMER.MSG.NEXT.VPN_COMMANDS.n2".to_owned(),
        "CONSUMER.INFO.VPN_COMMANDS.n2".into(),
        "CONSUMER.INFO.VPN_EVENTS_n2.mgmt-acks".into(),
        "CONSUMER.MSG.NEXT.VPN_EVENTS_n2.mgmt-acks".into(),
        "STREAM.PURGE.VPN_EVENTS_n2".into(),
        "CONSUMER.NAMES.VPN_COMMANDS".into(),
        "CONSUMER.CREATE.VPN_COMMANDS.spy".into(),
        "CONSUMER.CREATE.VPN_COMMANDS.spy.vpn.cmd.n2.>".into(),
        "CONSUMER.DURABLE.CREATE.VPN_COMMANDS.spy".into(),
        "CONSUMER.DELETE.VPN_COMMANDS.n2".into(),
        "CONSUMER.DELETE.VPN_COMMANDS.n1".into(),
        "CONSUMER.RESET.VPN_COMMANDS.n2".into(),
        "CONSUMER.PAUSE.VPN_COMMANDS.n2".into(),
        "STREAM.INFO.VPN_COMMANDS".into(),
        "STREAM.NAMES".into(),
        "STREAM.CREATE.SPY".into(),
        "STREAM.UPDATE.VPN_COMMANDS".into(),
        "STREAM.DELETE.VPN_COMMANDS".into(),
        "STREAM.PURGE.VPN_COMMANDS".into(),
        "STREAM.MSG.GET.VPN_COMMANDS".into(),
        "STREAM.MSG.DELETE.VPN_COMMANDS".into(),
        format!("DIRECT.GET.VPN_COMMANDS.{alice}"),
        "DIRECT.GET.VPN_COMMANDS".into(),
    ];
    for request in api {
        subjects.push(format!("$JS.API.{request}"));
        subjects.push(format!("jsvpn.{request}"));
    }
    // n1 is itself, but not through the server's own prefix.
    subjects.push("$JS.API.CONSUMER.MSG.NEXT.VPN_COMMANDS.n1".into());
    subjects
}

/// Subscribing to any of these would read what is somebody else's.
const FORBIDDEN_SUBSCRIPTIONS: [&str; 20] = [
    ">",
    "*.>",
    "vpn.>",
    "vpn.cmd.>",
    "vpn.cmd.n1.>",
    "vpn.cmd.n2.>",
    "vpn.ack.>",
    "vpn.health.*",
    "vpn.sync.*",
    "vpn.sign.n2",
    "vpn.node.>",
    "vpn.node.*.profile",
    "vpn.node.n2.>",
    "_INBOX.>",
    "_INBOX.*.>",
    "_INBOX.n2.>",
    "_R_.>",
    "$JS.>",
    "jsvpn.>",
    "$SYS.>",
];

#[tokio::test]
async fn every_attempt_to_forge_or_read_is_refused_and_stores_nothing() {
    let bus = Bus::start().await;
    let management = bus.management().await;
    let mut n1 = bus.node(&management, "n1").await;
    let n2 = bus.node(&management, "n2").await;
    let alice = management.command(&n2.id).await;
    management.command(&n1.id).await;
    let mut seen_by_management = management.client.subscribe("vpn.>").await.unwrap();
    let mut seen_by_n2 = n2.client.subscribe(subjects::node_requests_of(&n2.id)).await.unwrap();
    n2.consumer().await;
    let before = management.stored().await;

    for subject in forbidden_publishes(&alice) {
        let reply = n1.client.new_inbox();
        n1.client
            .publish_with_reply(subject.clone(), reply, "{}".into())
            .await
            .unwrap();
        n1.refused("Publish to", &subject).await;
    }
    for subject in FORBIDDEN_SUBSCRIPTIONS {
        let plain = n1.client.subscribe(subject).await.unwrap();
        n1.refused("Subscription to", subject).await;
        drop(plain);
        let shared = n1.client.queue_subscribe(subject, "mgmt".to_owned()).await.unwrap();
        n1.refused("Subscription to", subject).await;
        drop(shared);
    }

    assert_eq!(management.stored().await, before);
    n2.consumer().await;
    assert!(
        timeout(std::time::Duration::ZERO, seen_by_n2.next()).await.is_err(),
        "n2 got a message"
    );
    // What n1 may say does arrive, and nothing came before it.
    n1.client
        .publish(subjects::health(&n1.id), "first".into())
        .await
        .unwrap();
    let first = timeout(DEADLINE, seen_by_management.next()).await.unwrap().unwrap();
    assert_eq!(
        (first.subject.as_str(), first.payload.as_ref()),
        ("vpn.health.n1", b"first".as_slice())
    );
}

#[tokio::test]
async fn what_a_node_needs_works() {
    let bus = Bus::start().await;
    let management = bus.management().await;
    let mut n1 = bus.node(&management, "n1").await;
    let command = management.command(&n1.id).await;

    // Pull a command, ack it upwards, settle it.
    let mut messages = n1.consumer().await.messages().await.unwrap();
    let delivered = timeout(DEADLINE, messages.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(delivered.subject.as_str(), command);
    let ack = subjects::ack(&n1.id, UserKey::new());
    let stored = n1
        .jetstream()
        .publish(ack.clone(), "done".into())
        .await
        .unwrap()
        .await
        .unwrap();
    assert_eq!(stored.stream, "VPN_EVENTS_n1");
    let event = subjects::event(&n1.id, "user_expired");
    n1.jetstream()
        .publish(event.clone(), "event".into())
        .await
        .unwrap()
        .await
        .unwrap();
    delivered.double_ack().await.unwrap();
    let held = management.stored().await;
    assert_eq!(held.on("vpn.ack.n1").len() + held.on("vpn.event.n1").len(), 2);
    assert_eq!(held.consumers["n1"].1, 1, "the command is settled");

    // Heartbeat, and the three requests to management.
    let mut heartbeats = management.client.subscribe(subjects::ALL_HEARTBEATS).await.unwrap();
    for pattern in [subjects::ALL_SYNCS, subjects::ALL_SIGNS, subjects::ALL_INTENTS] {
        let mut requests = management.client.subscribe(pattern).await.unwrap();
        management.topology.context().query_account().await.unwrap();
        let subject = pattern.replace('*', n1.id.as_str());
        let (answer, ()) = tokio::join!(n1.client.request(subject.clone(), "ask".into()), async {
            let request = timeout(DEADLINE, requests.next()).await.unwrap().unwrap();
            assert_eq!(request.subject.as_str(), subject);
            management
                .client
                .publish(request.reply.unwrap(), "answer".into())
                .await
                .unwrap();
        });
        assert_eq!(answer.unwrap().payload.as_ref(), b"answer");
    }
    n1.client
        .publish(subjects::health(&n1.id), "alive".into())
        .await
        .unwrap();
    assert_eq!(
        timeout(DEADLINE, heartbeats.next())
            .await
            .unwrap()
            .unwrap()
            .payload
            .as_ref(),
        b"alive"
    );

    // Its own requests are heard.
    let _requests = n1.client.subscribe(subjects::node_requests_of(&n1.id)).await.unwrap();
    assert_eq!(n1.barrier().await, Vec::<String>::new());
    let asked = subjects::node_request(&n1.id, &NodeRequest::Sync);
    assert!(asked.starts_with("vpn.node.n1."));
    assert_eq!(n1.consumer().await.cached_info().config.ack_policy, AckPolicy::Explicit);
}

#[tokio::test]
async fn a_node_of_another_fleet_is_refused() {
    let (ours, theirs) = (Bus::start().await, Bus::start().await);
    let stranger = NodeIdentity::issue(&"n1".parse().unwrap(), &theirs.files.node_authority().unwrap());

    assert!(theirs.join(&stranger).await.is_ok(), "the identity is good at home");
    let refused = ours.join(&stranger).await.err().unwrap();

    assert_eq!(
        refused.kind(),
        async_nats::ConnectErrorKind::AuthorizationViolation,
        "{refused}"
    );
}
