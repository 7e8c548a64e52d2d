//! What is told.

use std::time::Duration;

use super::reader::Reader;
use super::record;
use crate::database::{number, run};
use crate::stack::{Stack, get};

#[tokio::test]
async fn a_stream_tells_what_is_recorded_from_then_on_and_goes_on_after_the_last_id() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    stack.create_user("earlier").await;
    let server = stack.serve().await;
    let mut reader = Reader::open(server, "").await;
    stack.create_user("alice").await;

    // What was recorded in the second before may come first.
    let told = loop {
        let told = reader.next().await.expect("an event");
        if told.data["data"]["username"] == "alice" {
            break told;
        }
    };
    assert_eq!(
        (told.kind.as_str(), told.data["type"].as_str()),
        ("user_created", Some("user_created"))
    );
    let listed = get(&stack, "/api/audit?username=alice").await["items"][0].clone();
    let data = &told.data["data"];
    assert_eq!(
        (data["id"].as_i64(), &data["username"]),
        (Some(told.id), &listed["username"])
    );
    assert_eq!(
        (&data["after"], &told.data["timestamp"]),
        (&listed["after"], &listed["timestamp"])
    );
    assert_eq!(data["subject"], "users");

    let last_id = reader.last_id.clone();
    drop(reader);
    stack.create_user("bob").await;
    let mut again = Reader::resume(server, &last_id).await;
    let told = again.next().await.expect("an event");
    assert_eq!(told.data["data"]["username"], "bob");
    let mut all = Reader::open(server, "?after=0&type=user_created").await;
    let first = all.next().await.expect("an event");
    assert_eq!(first.data["data"]["username"], "earlier");
}

#[tokio::test]
async fn only_what_is_asked_for_is_told() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    let server = stack.serve().await;
    let mut by_type = Reader::open(server, "?type=node_drained,user_removed").await;
    let mut by_subject = Reader::open(server, "?subject=nodes&username=alice").await;
    let mut by_server = Reader::open(server, "?server_id=node-1&username=bob").await;
    for (action, username) in [
        ("user_created", "alice"),
        ("node_drained", "alice"),
        ("user_removed", "bob"),
    ] {
        record(&stack.app.db, action, username).await;
    }
    let mut kinds = Vec::new();
    kinds.push(by_type.next().await.expect("an event").kind);
    kinds.push(by_type.next().await.expect("an event").kind);
    kinds.push(by_subject.next().await.expect("an event").kind);
    kinds.push(by_server.next().await.expect("an event").kind);
    assert_eq!(kinds, ["node_drained", "user_removed", "node_drained", "user_removed"]);

    // The same of what is there already.
    let mut again = Reader::open(server, "?after=0&type=user_removed").await;
    assert_eq!(again.next().await.expect("an event").kind, "user_removed");
}

#[tokio::test]
async fn a_reader_that_is_slow_misses_nothing() {
    const ENTRIES: usize = 6000;
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    let server = stack.serve().await;
    let mut slow = Reader::open(server, "?type=user_changed").await;
    // More than all buffers between them hold, and far more batches than wait for a listener.
    let many = format!(
        "INSERT INTO audit_log (action, server_id, actor, details)
         SELECT 'user_changed', 'node-1', 'system', repeat('x', 400) FROM generate_series(1, {ENTRIES})"
    );
    run(&stack.app.db, &many).await;
    let mut quick = Reader::open(server, "?type=user_removed").await;
    record(&stack.app.db, "user_removed", "alice").await;
    assert_eq!(
        quick.next().await.expect("an event").kind,
        "user_removed",
        "it is not held up"
    );

    let mut ids = Vec::new();
    for _ in 0..ENTRIES {
        ids.push(slow.next().await.expect("an event").id);
    }
    assert!(ids.is_sorted(), "in order");
    ids.dedup();
    let recorded = number(
        &stack.app.db,
        "SELECT count(*) FROM audit_log WHERE action = 'user_changed'",
    )
    .await;
    assert_eq!(ids.len() as i64, recorded);
    assert!(slow.is_silent_for(Duration::from_millis(600)).await);
}
