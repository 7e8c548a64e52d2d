//! A user on fewer nodes than there are.

use std::time::Instant;

use vpnmanager_testbed::wait;

use super::records::{REPAIR, Records};
use crate::main_job::site::Site;

#[tokio::test]
async fn a_user_that_lacks_a_node_gets_it_although_nothing_happens_that_would_tell() {
    let site = Site::without_tunnels(2).await;
    site.create("alice").await;
    let records = Records::open(&site).await;

    // As a user is left that was created while its second node was being taken back.
    records.change("DELETE FROM placements WHERE role = 'standby'").await;
    let began = Instant::now();

    let api = site.stack.api();
    let placed = async || {
        let alice = api.user("alice").await;
        alice.is_ok_and(|alice| alice.body["nodes"].as_array().is_some_and(|nodes| nodes.len() == 2))
    };
    wait::until(REPAIR, "alice to stand on two nodes", placed)
        .await
        .unwrap();
    assert_eq!(site.all_synced(wait::SOON).await, 1);
    records.agree(&site).await;
    eprintln!("measured: placed again after {} ms", began.elapsed().as_millis());
}
