//! A delivered message is settled in one of three ways, and one that cannot be read never blocks the next.

use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::{AckPolicy, pull};
use vpnmanager_nats::{
    envelope::{DecodeError, Envelope, WIRE_VERSION},
    ids::UserKey,
    publish::Published,
    subjects,
};

use crate::{
    bare::{Bare, next, node, publish, put, waiting},
    fixture::{Bus, until},
};

#[tokio::test]
async fn what_is_done_or_terminated_does_not_come_again() {
    let bare = Bare::start().await;
    let n1 = node("n1");
    let impatient = pull::Config {
        durable_name: Some("impatient".to_owned()),
        filter_subject: subjects::commands_of(&n1),
        ack_policy: AckPolicy::Explicit,
        ack_wait: Duration::from_millis(300),
        ..Default::default()
    };
    let consumer = bare.topology.commands().create_consumer(impatient).await.unwrap();
    for _ in 0..3 {
        bare.store(put(&n1, UserKey::new(), 1)).await;
    }
    let (done, terminated, unsettled) = (next(&consumer).await, next(&consumer).await, next(&consumer).await);
    assert_eq!(
        [done.sequence(), terminated.sequence(), unsettled.sequence()],
        [1, 2, 3]
    );
    assert_eq!(unsettled.deliveries(), 1);

    done.done().await.unwrap();
    terminated.terminate().await.unwrap();

    // The unsettled one comes again: by then the others would have, too.
    for deliveries in 2..4 {
        let again = next(&consumer).await;
        assert_eq!((again.sequence(), again.deliveries()), (3, deliveries));
    }
}

#[tokio::test]
async fn what_is_to_be_retried_comes_again_after_the_pause() {
    let bare = Bare::start().await;
    let (n1, pause) = (node("n1"), Duration::from_millis(700));
    let consumer = bare.node(&n1).await;
    let first = bare.store(put(&n1, UserKey::new(), 1)).await;
    let second = bare.store(put(&n1, UserKey::new(), 1)).await;
    let delivery = next(&consumer).await;
    assert_eq!((delivery.sequence(), delivery.deliveries()), (first, 1));

    let asked = Instant::now();
    delivery.retry(pause).await.unwrap();

    let meanwhile = next(&consumer).await;
    assert_eq!(
        meanwhile.sequence(),
        second,
        "another command does not wait for the pause"
    );
    meanwhile.done().await.unwrap();
    let again = next(&consumer).await;
    assert!(asked.elapsed() >= pause, "it came after {:?}", asked.elapsed());
    assert_eq!((again.sequence(), again.deliveries()), (first, 2));
}

#[tokio::test]
async fn a_newer_command_replaces_one_that_was_not_settled() {
    let bare = Bare::start().await;
    let (n1, alice) = (node("n1"), UserKey::new());
    let consumer = bare.node(&n1).await;
    bare.store(put(&n1, alice, 1)).await;
    let late = next(&consumer).await;
    let newer = bare.store(put(&n1, alice, 2)).await;
    assert_eq!(next(&consumer).await.sequence(), newer);

    late.retry(Duration::ZERO).await.unwrap();

    bare.topology.rewind_node_consumer(&n1).await.unwrap();
    let sequences: Vec<u64> = waiting(&consumer)
        .await
        .iter()
        .map(|delivery| delivery.sequence())
        .collect();
    assert_eq!(sequences, [newer]);
}

#[tokio::test]
async fn what_does_not_decode_is_an_error_and_the_next_one_is_readable() {
    let bare = Bare::start().await;
    let n1 = node("n1");
    let consumer = bare.node(&n1).await;
    let user = UserKey::new;
    bare.store_raw(&n1, user(), "not JSON").await;
    bare.store_raw(&n1, user(), r#"{"v":1,"type":"put_user"}"#).await;
    bare.store_raw(&n1, user(), r#"{"v":1,"type":"of_a_later_release"}"#)
        .await;
    bare.store_raw(&n1, user(), r#"{"v":2,"type":"put_user"}"#).await;
    bare.store_raw(&n1, user(), "").await;
    let good = put(&n1, user(), 1);
    bare.store(good.clone()).await;

    let mut errors = Vec::new();
    for _ in 0..5 {
        let delivery = next(&consumer).await;
        errors.push(delivery.command(&n1).unwrap_err());
        delivery.terminate().await.unwrap();
    }

    assert!(
        matches!(errors[3], DecodeError::NewerVersion { found: 2 }),
        "{:?}",
        errors[3]
    );
    for at in [0, 1, 2, 4] {
        assert!(matches!(errors[at], DecodeError::Malformed(_)), "{:?}", errors[at]);
    }
    let readable = next(&consumer).await;
    assert_eq!(readable.command(&n1).unwrap(), good);
    readable.done().await.unwrap();
    let all_settled = async || {
        let info = bare.consumer(&n1).await.cached_info().clone();
        (info.num_ack_pending, info.ack_floor.stream_sequence) == (0, 6)
    };
    until("all are settled", all_settled).await;
}

#[tokio::test]
async fn a_command_that_names_another_node_is_foreign() {
    let bare = Bare::start().await;
    let (n1, n2) = (node("n1"), node("n2"));
    let consumer = bare.node(&n1).await;
    let subject = subjects::command(&n1, UserKey::new());
    let payload = put(&n2, UserKey::new(), 1).encode();
    bare.topology
        .context()
        .publish(subject, payload)
        .await
        .unwrap()
        .await
        .unwrap();

    let delivery = next(&consumer).await;

    assert!(matches!(delivery.command(&n1), Err(DecodeError::ForeignNode)));
}

#[tokio::test]
async fn the_trace_of_the_request_arrives() {
    let bare = Bare::start().await;
    let n1 = node("n1");
    let consumer = bare.node(&n1).await;
    let traceparent = Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned());
    let command = Envelope::traced(put(&n1, UserKey::new(), 1).body, traceparent.clone());
    let published = publish(&bare.topology, command, 0).await.unwrap();
    assert!(matches!(published, Published::Stored { .. }));

    let arrived = next(&consumer).await.command(&n1).unwrap();

    assert_eq!((arrived.v, arrived.traceparent), (WIRE_VERSION, traceparent));
}

/// As a node does it in production: its own account, its own prefix, acks across the border.
#[tokio::test]
async fn a_node_settles_across_the_accounts() {
    let bus = Bus::start().await;
    let management = bus.management().await;
    let mut n1 = bus.node(&management, "n1").await;
    let consumer = n1.consumer().await;
    let mut commands = Vec::new();
    for _ in 0..3 {
        let command = put(&n1.id, UserKey::new(), 1);
        publish(&management.topology, command.clone(), 0).await.unwrap();
        commands.push(command);
    }

    for (command, sequence) in commands.iter().zip(1..) {
        let delivery = next(&consumer).await;
        assert_eq!((delivery.sequence(), delivery.deliveries()), (sequence, 1));
        assert_eq!(delivery.command(&n1.id).unwrap(), *command);
        match sequence {
            1 => delivery.done().await.unwrap(),
            2 => delivery.terminate().await.unwrap(),
            _ => delivery.retry(Duration::from_millis(100)).await.unwrap(),
        }
    }
    let again = next(&consumer).await;
    assert_eq!((again.sequence(), again.deliveries()), (3, 2));
    again.done().await.unwrap();
    let all_settled = async || n1.consumer().await.cached_info().ack_floor.stream_sequence == 3;
    until("all are settled", all_settled).await;

    management.topology.rewind_node_consumer(&n1.id).await.unwrap();

    let sequences: Vec<u64> = waiting(&consumer)
        .await
        .iter()
        .map(|delivery| delivery.sequence())
        .collect();
    assert_eq!(sequences, [1, 2, 3]);
    assert_eq!(n1.barrier().await, Vec::<String>::new(), "the server refused nothing");
}
