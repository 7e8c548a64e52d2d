//! Requests from management to a node.

use std::time::Instant;

use async_nats::client::RequestErrorKind;
use futures_util::StreamExt as _;
use tokio::time::timeout;
use vpnmanager_nats::{node_requests::NodeRequest, payload::MOST_OF_A_NODE, subjects};

use crate::fixture::{Bus, DEADLINE};

#[tokio::test]
async fn a_node_answers_once_and_only_its_own_requests() {
    let bus = Bus::start().await;
    let management = bus.management().await;
    let mut n1 = bus.node(&management, "n1").await;
    let n2 = bus.node(&management, "n2").await;
    let mut requests = n1.client.subscribe(subjects::node_requests_of(&n1.id)).await.unwrap();
    let mut others = n2.client.subscribe(subjects::node_requests_of(&n2.id)).await.unwrap();
    n1.barrier().await;
    n2.consumer().await;
    let subject = subjects::node_request(&n1.id, &NodeRequest::Sync);

    let (answer, reply) = tokio::join!(management.client.request(subject.clone(), "which".into()), async {
        let request = timeout(DEADLINE, requests.next()).await.unwrap().unwrap();
        assert_eq!(
            (request.subject.as_str(), request.payload.as_ref()),
            (subject.as_str(), b"which".as_slice())
        );
        let reply = request.reply.unwrap();
        n1.client.publish(reply.clone(), "the profile".into()).await.unwrap();
        reply
    });

    assert_eq!(answer.unwrap().payload.as_ref(), b"the profile");
    n1.client.publish(reply.clone(), "again".into()).await.unwrap();
    n1.refused("Publish to", &reply).await;
    n2.client.publish(reply, "not mine".into()).await.unwrap();
    n2.consumer().await;
    assert!(timeout(std::time::Duration::ZERO, others.next()).await.is_err());
}

#[tokio::test]
async fn an_absent_node_is_known_at_once() {
    let bus = Bus::start().await;
    let management = bus.management().await;
    let absent = "n1".parse().unwrap();

    let started = Instant::now();
    let answer = management
        .client
        .request(subjects::node_request(&absent, &NodeRequest::Sync), "".into())
        .await;

    assert_eq!(answer.unwrap_err().kind(), RequestErrorKind::NoResponders);
    assert!(started.elapsed().as_secs() < 1, "{:?}", started.elapsed());
}

#[tokio::test]
async fn the_largest_answer_fits() {
    let bus = Bus::start().await;
    let management = bus.management().await;
    let mut n1 = bus.node(&management, "n1").await;
    let mut requests = n1.client.subscribe(subjects::node_requests_of(&n1.id)).await.unwrap();
    n1.barrier().await;
    let subject = subjects::node_request(&n1.id, &NodeRequest::Sync);

    let (answer, ()) = tokio::join!(management.client.request(subject, "".into()), async {
        let request = timeout(DEADLINE, requests.next()).await.unwrap().unwrap();
        n1.client
            .publish(request.reply.unwrap(), vec![b'x'; MOST_OF_A_NODE].into())
            .await
            .unwrap();
    });

    assert_eq!(answer.unwrap().payload.len(), MOST_OF_A_NODE);
    assert_eq!(n1.barrier().await, Vec::<String>::new());
}
