//! A node's consumer is deleted while its agent pulls from it.

use std::time::Instant;

use vpnmanager_testbed::{stack::StackOptions, wait};

use super::records::Records;
use crate::main_job::site::Site;

#[tokio::test]
async fn a_consumer_deleted_under_a_live_agent_is_made_again() {
    let site = Site::start(StackOptions {
        nodes: 2,
        tunnels: Some(false),
        ..StackOptions::default()
    })
    .await;
    site.create("alice").await;
    let records = Records::open(&site).await;
    let issued = records.serials().await;
    let stream = site.bus().await.get_stream("VPN_COMMANDS").await.unwrap();

    let deleted = stream.delete_consumer("node-1").await.unwrap();

    assert!(deleted.success);
    let began = Instant::now();
    let api = site.stack.api();
    api.create_user("bob", None).await.unwrap().expect(201).unwrap();
    records.agree(&site).await;
    eprintln!(
        "measured: the next command was applied {} ms after its consumer was deleted",
        began.elapsed().as_millis()
    );
    assert_eq!(site.all_synced(wait::SOON).await, 2);
    let after = records.serials().await;
    assert!(
        issued.iter().all(|(name, serial)| after[name] == *serial),
        "issued again"
    );
}
