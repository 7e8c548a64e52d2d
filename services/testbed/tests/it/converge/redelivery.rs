//! One command delivered again and again.

use serde_json::json;
use vpnmanager_testbed::wait;

use super::records::{Records, audited, journal};
use crate::main_job::site::{Site, assert_synced};

#[tokio::test]
async fn a_command_that_comes_three_times_more_is_applied_once() {
    let site = Site::without_tunnels(1).await;
    let text = site.create("alice").await;
    let records = Records::open(&site).await;
    records.agree(&site).await;
    let issued = records.serials().await;
    let bus = site.bus().await;
    let stream = bus.get_stream("VPN_COMMANDS").await.unwrap();
    let key = journal(&site, 1).unwrap().keys().next().unwrap().clone();
    let subject = format!("vpn.cmd.node-1.{key}");
    let command = stream.get_last_raw_message_by_subject(&subject).await.unwrap();

    let mut last = 0;
    for _ in 0..3 {
        let published = bus.publish(subject.clone(), command.payload.clone()).await.unwrap();
        last = published.await.unwrap().sequence;
    }

    let mut consumer = stream
        .get_consumer::<async_nats::jetstream::consumer::pull::Config>("node-1")
        .await
        .unwrap();
    let settled = wait::until_ok(wait::SOON, "the last of them to be settled", async || {
        let info = consumer.info().await.map_err(|error| error.to_string())?;
        if info.ack_floor.stream_sequence >= last {
            Ok(())
        } else {
            Err(format!("{} of {last}", info.ack_floor.stream_sequence))
        }
    });
    settled.await.unwrap();
    records.agree(&site).await;
    assert_eq!(records.serials().await, issued);
    assert_eq!(site.stack.api().profile("alice").await.unwrap(), text);
    assert_eq!(audited(&site, "user_created").await.len(), 1);
    // Management did not write what is last on the subject, and is heard all the same.
    let api = site.stack.api();
    let changed = api
        .change_user("alice", &json!({ "active": false }), Some(wait::SOON))
        .await;
    assert_synced(&changed.unwrap().success().unwrap());
    records.agree(&site).await;
}
