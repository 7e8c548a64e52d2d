//! What management takes from the stream of acks and events.

use async_nats::jetstream::{context::PublishError, message::PublishMessage, publish::PublishAck};
use chrono::Utc;
use vpnmanager_nats::{
    acks::{Ack, Outcome},
    delivery::Report,
    envelope::{DecodeError, Envelope},
    events::{Event, EventKind},
    ids::{AgentInstance, EventId, NodeId, Revision, UserKey},
    payload::Payload,
    subjects,
    topology::{LARGEST_REPORT, REPORTS_ROOM, reports_stream},
};

use vpnmanager_testbed::wait;

use crate::{
    bare::{Bare, next, node},
    fixture::DEADLINE,
};

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

#[tokio::test]
async fn when_a_nodes_room_is_full_its_reports_are_refused_and_none_that_was_taken_goes() {
    const LARGE: usize = 48 << 10;
    let bare = Bare::start().await;
    let (n1, n2) = (node("n1"), node("n2"));
    let consumer = bare.topology.ensure_reports(&n1).await.unwrap();
    bare.topology.ensure_reports(&n2).await.unwrap();
    let first = event(&n1);
    send(&bare, subjects::event(&n1, "openvpn_up"), first.encode()).await;
    let offered = usize::try_from(REPORTS_ROOM).unwrap() / LARGE + 1;
    let mut taken = 0;
    for _ in 0..offered {
        let filler = bytes::Bytes::from(vec![b'x'; LARGE]);
        taken += usize::from(offer(&bare, subjects::event(&n1, "filler"), filler).await.is_ok());
    }
    assert!((offered / 2..offered).contains(&taken), "{taken} of {offered}");

    let refused = offer(&bare, subjects::event(&n1, "openvpn_up"), vec![b'x'; LARGE].into()).await;
    assert!(refused.unwrap_err().to_string().contains("maximum bytes exceeded"));
    send(&bare, subjects::event(&n2, "openvpn_up"), event(&n2).encode()).await;
    let stream = bare.topology.context().get_stream(reports_stream(&n1)).await.unwrap();
    assert_eq!(stream.cached_info().state.messages, u64::try_from(taken + 1).unwrap());

    // What management records makes room.
    for _ in 0..taken {
        next(&consumer).await.done().await.unwrap();
    }
    let room = async || {
        let sent = offer(&bare, subjects::event(&n1, "openvpn_up"), first.encode()).await;
        sent.map_err(|error| error.to_string())
    };
    wait::until_ok(DEADLINE, "room for a report", room).await.unwrap();
}

#[tokio::test]
async fn a_report_larger_than_any_honest_one_is_refused_and_its_headers_count() {
    let bare = Bare::start().await;
    let n1 = node("n1");
    bare.topology.ensure_reports(&n1).await.unwrap();
    let honest = EventId::new().to_string();
    identified(&bare, &n1, honest, vec![b'x'; Event::MAX_BYTES])
        .await
        .unwrap();

    for (id, payload) in [
        (EventId::new().to_string(), LARGEST_REPORT),
        ("x".repeat(LARGEST_REPORT), 0),
        ("x".repeat(60_000), 100),
    ] {
        let refused = identified(&bare, &n1, id, vec![b'x'; payload]).await.unwrap_err();
        assert!(
            refused.to_string().contains("size exceeds maximum allowed"),
            "{refused}"
        );
    }

    let stream = bare.topology.context().get_stream(reports_stream(&n1)).await.unwrap();
    assert_eq!(stream.cached_info().state.messages, 1);
}

#[tokio::test]
async fn the_server_forgets_the_id_of_a_report_soon() {
    let bare = Bare::start().await;
    let n1 = node("n1");
    bare.topology.ensure_reports(&n1).await.unwrap();
    let id = EventId::new().to_string();
    identified(&bare, &n1, id.clone(), Vec::new()).await.unwrap();

    let stored_again = async || match identified(&bare, &n1, id.clone(), Vec::new()).await {
        Ok(ack) if ack.duplicate => Err("it is a duplicate".to_owned()),
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    };
    wait::until_ok(DEADLINE, "the id to be forgotten", stored_again)
        .await
        .unwrap();
}

fn ack(node: &NodeId, user_key: UserKey) -> Envelope<Ack> {
    Envelope::new(Ack {
        node: node.clone(),
        instance: AgentInstance::new(),
        user_key,
        revision: Revision(1),
        outcome: Outcome::Applied {
            issued: None,
            further: Vec::new(),
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
    offer(bare, subject, payload).await.unwrap();
}

async fn offer(bare: &Bare, subject: String, payload: bytes::Bytes) -> Result<(), PublishError> {
    bare.topology.context().publish(subject, payload).await?.await.map(drop)
}

/// Publishes an event with an id of the message.
async fn identified(bare: &Bare, node: &NodeId, id: String, payload: Vec<u8>) -> Result<PublishAck, PublishError> {
    let message = PublishMessage::build().message_id(id).payload(payload.into());
    let subject = subjects::event(node, "openvpn_up");
    bare.topology.context().send_publish(subject, message).await?.await
}
