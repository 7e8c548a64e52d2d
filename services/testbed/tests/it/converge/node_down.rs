//! A node is down while its users come and go.

use std::time::Instant;

use vpnmanager_testbed::{stack::Part, wait};

use super::records::{Records, allow_list};
use crate::main_job::site::Site;

#[tokio::test]
async fn a_node_that_was_down_catches_up_with_creates_and_deletes() {
    let mut site = Site::without_tunnels(2).await;
    let api = site.stack.api();
    let records = Records::open(&site).await;
    site.create("before").await;

    site.stack.kill_part(Part::Node(1)).await.unwrap();
    api.create_user("alice", None).await.unwrap().expect(201).unwrap();
    let began = Instant::now();
    site.stack.start_part(Part::Node(1)).await.unwrap();
    assert_eq!(site.all_synced(wait::SOON).await, 2);
    records.agree(&site).await;
    eprintln!(
        "measured: created {} ms after the node's start began",
        began.elapsed().as_millis()
    );

    site.stack.kill_part(Part::Node(1)).await.unwrap();
    api.delete_user("alice", None).await.unwrap().success().unwrap();
    // Born and gone while the node was away.
    api.create_user("brief", None).await.unwrap().expect(201).unwrap();
    api.delete_user("brief", None).await.unwrap().success().unwrap();
    assert_eq!(allow_list(&site, 1).len(), 2, "its files outlive the agent");
    let began = Instant::now();
    site.stack.start_part(Part::Node(1)).await.unwrap();
    site.forgets("alice").await;
    site.forgets("brief").await;
    records.agree(&site).await;
    eprintln!(
        "measured: deleted {} ms after the node's start began",
        began.elapsed().as_millis()
    );
    assert_eq!(allow_list(&site, 1).len(), 1);
}
