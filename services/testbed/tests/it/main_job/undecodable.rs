//! A message on the bus that nobody can read.

use std::time::Instant;

use async_nats::jetstream::{self, consumer::PullConsumer};
use vpnmanager_testbed::{stack::Part, wait};

use super::site::Site;

/// Publishes these texts as commands for node-1, and returns their subjects.
async fn publish(bus: &jetstream::Context, texts: &[&'static str]) -> Vec<String> {
    let mut subjects = Vec::new();
    for text in texts {
        let subject = format!("vpn.cmd.node-1.{}", uuid::Uuid::new_v4());
        bus.publish(subject.clone(), (*text).into())
            .await
            .unwrap()
            .await
            .unwrap();
        subjects.push(subject);
    }
    subjects
}

/// Waits until the audit trail names every subject once.
async fn are_recorded(site: &Site, subjects: &[String]) {
    let api = site.stack.api();
    let recorded = wait::until_some(wait::SOON, "all of them in the audit trail", async || {
        let rows = api.audit("?action=command_undecodable&limit=100").await.ok()?;
        (rows.items().len() >= subjects.len()).then_some(rows)
    });
    let recorded = recorded.await.unwrap();
    assert_eq!(recorded.items().len(), subjects.len(), "{}", recorded.text);
    for subject in subjects {
        assert!(
            recorded.text.contains(subject.as_str()),
            "{subject} is not in {}",
            recorded.text
        );
    }
    assert!(
        recorded.items().iter().all(|row| row["server_id"] == "node-1"),
        "{}",
        recorded.text
    );
}

#[tokio::test]
async fn an_unreadable_command_is_terminated_and_recorded_and_the_next_one_applied() {
    let mut site = Site::without_tunnels(1).await;
    let bus = site.bus().await;
    let garbage = [
        "{\"v\":1,",
        "[]",
        "\u{0}\u{1}",
        "{\"v\":1,\"type\":\"put_user\"}",
        "{\"v\":99}",
    ];
    let subjects = publish(&bus, &garbage).await;

    site.create("alice").await;

    are_recorded(&site, &subjects).await;
    let consumer: PullConsumer = bus.get_consumer_from_stream("node-1", "VPN_COMMANDS").await.unwrap();
    let settled = async || {
        let info = consumer.get_info().await.unwrap();
        let left = info.num_ack_pending as u64 + info.num_pending + info.num_redelivered as u64;
        if left == 0 {
            Ok(())
        } else {
            Err(format!("{left} messages are not settled"))
        }
    };
    wait::until_ok(wait::SOON, "everything to be settled", settled)
        .await
        .unwrap();

    // They lie in the stream for ever; that must trouble neither a restart nor the next user.
    site.stack.kill_part(Part::Node(1)).await.unwrap();
    site.stack.start_part(Part::Node(1)).await.unwrap();
    site.create("bob").await;
    are_recorded(&site, &subjects).await;
}

/// The server takes an answer without a body for the end of all answers to a request from another account: the flow of
/// commands falls silent, and the node has to notice that by itself.
#[tokio::test]
async fn an_empty_message_delays_the_next_command_and_no_more() {
    let site = Site::without_tunnels(1).await;
    let subjects = publish(&site.bus().await, &[""]).await;
    let began = Instant::now();

    site.stack
        .api()
        .create_user("alice", None)
        .await
        .unwrap()
        .expect(201)
        .unwrap();

    assert_eq!(site.all_synced(wait::SOON).await, 1);
    eprintln!(
        "measured: applied {} ms after an empty message",
        began.elapsed().as_millis()
    );
    are_recorded(&site, &subjects).await;
}
