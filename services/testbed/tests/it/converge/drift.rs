//! A journal that somebody edited behind its agent's back: the next heartbeat after shows it, and management asks at once.

use std::time::Instant;

use vpnmanager_testbed::{stack::StackOptions, wait};

use super::records::{NOTICED, Records, audited, journal};
use crate::main_job::site::Site;

#[tokio::test]
async fn a_user_that_somebody_took_out_of_a_journal_comes_back_without_waiting_for_the_half_minute() {
    let site = Site::start(StackOptions {
        nodes: 2,
        tunnels: Some(false),
        node_env: vec![("HEARTBEAT_INTERVAL".to_owned(), "1s".to_owned())],
        ..StackOptions::default()
    })
    .await;
    site.create("alice").await;
    let records = Records::open(&site).await;
    records.agree(&site).await;
    let file = site.stack.node(1).unwrap().dir().join("journal.db");

    let taken = rusqlite::Connection::open(file)
        .unwrap()
        .execute("DELETE FROM users WHERE username = 'alice'", [])
        .unwrap();
    assert_eq!(taken, 1);
    // What the agent says of itself is counted anew with its next commit.
    site.create("bob").await;
    let began = Instant::now();

    let begun = async || !audited(&site, "node_resync_started").await.is_empty();
    wait::until(NOTICED, "the drift to be noticed", begun).await.unwrap();
    let noticed = began.elapsed();
    records.agree(&site).await;
    eprintln!(
        "measured: drift was noticed after {} ms, and the node right after {} ms",
        noticed.as_millis(),
        began.elapsed().as_millis()
    );
    assert_eq!(journal(&site, 1).unwrap().len(), 2);
}
