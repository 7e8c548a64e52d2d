//! What management takes from the stream of acks and events.

use chrono::Utc;
use vpnmanager_nats::{
    acks::{Ack, Outcome},
    delivery::Report,
    envelope::{DecodeError, Envelope},
    events::{Event, EventKind},
    ids::{AgentInstance, EventId, NodeId, Revision, UserKey},
    subjects,
};

use crate::bare::{Bare, next, node};

#[tokio::test]
async fn acks_and_events_arrive_as_what_they_are() {
    let bare = Bare::start().await;
    let consumer = bare.topology.ensure_reports(&node("n1")).await.unwrap();
    let (n1, alice) = (node("n1"), UserKey::new());
    let (ack, event) = (ack(&n1, alice), event(&n1));
    send(&bare, subjects::ack(&n1, alice), ack.encode()).await;
    send(&bare, subjects::event(&n1, event.body.kind.name()), event.encode()).await;

    let (first, second) = (next(&consumer).await, next(&consumer).await);

    assert!(matches!(first.report(), Ok(Report::Ack(arrived)) if *arrived == ack));
    assert!(matches!(second.report(), Ok(Report::Event(arrived)) if *arrived == event));
}

#[tokio::test]
async fn a_report_that_speaks_for_somebody_else_is_foreign() {
    let bare = Bare::start().await;
    let consumer = bare.topology.ensure_reports(&node("n1")).await.unwrap();
    let (n1, n2, alice, bob) = (node("n1"), node("n2"), UserKey::new(), UserKey::new());
    let foreign = [
        (subjects::ack(&n1, alice), ack(&n2, alice).encode()),
        (subjects::ack(&n1, alice), ack(&n1, bob).encode()),
        (subjects::event(&n1, "openvpn_up"), event(&n2).encode()),
        ("vpn.ack.n1.not-a-key".to_owned(), ack(&n1, alice).encode()),
        ("vpn.event.n1.openvpn_up.more".to_owned(), event(&n1).encode()),
    ];
    for (subject, payload) in &foreign {
        send(&bare, subject.clone(), payload.clone()).await;
    }
    send(&bare, subjects::ack(&n1, alice), "{}".into()).await;

    for (subject, _) in &foreign {
        let delivery = next(&consumer).await;
        assert_eq!(delivery.subject(), subject);
        assert!(matches!(delivery.report(), Err(DecodeError::ForeignNode)), "{subject}");
        delivery.terminate().await.unwrap();
    }
    assert!(matches!(next(&consumer).await.report(), Err(DecodeError::Malformed(_))));
}

fn ack(node: &NodeId, user_key: UserKey) -> Envelope<Ack> {
    Envelope::new(Ack {
        node: node.clone(),
        instance: AgentInstance::new(),
        user_key,
        revision: Revision(1),
        outcome: Outcome::Applied {
            issued: None,
            note: None,
        },
        applied_at: Utc::now(),
    })
}

fn event(node: &NodeId) -> Envelope<Event> {
    Envelope::new(Event {
        id: EventId::new(),
        node: node.clone(),
        instance: AgentInstance::new(),
        at: Utc::now(),
        kind: EventKind::OpenvpnUp { pid: 1 },
    })
}

async fn send(bare: &Bare, subject: String, payload: bytes::Bytes) {
    bare.topology
        .context()
        .publish(subject, payload)
        .await
        .unwrap()
        .await
        .unwrap();
}
