//! Who may listen, and how streams end.

use vpnmanager_entities::api_key::Role;

use super::reader::{Reader, ask};
use crate::database::run;
use crate::stack::{ADMIN_KEY, Stack};

#[tokio::test]
async fn a_key_that_is_revoked_ends_its_streams_and_no_others() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    stack.add_key("another-key", Role::Admin).await;
    let server = stack.serve().await;
    let ending = Reader::of(ask(server, "", "another-key", None).await).await;
    let mut staying = Reader::open(server, "?type=user_created").await;

    run(&stack.app.db, "DELETE FROM api_keys WHERE name LIKE '%another-key'").await;

    let rest = ending.rest().await;
    assert!(rest.contains(": the key is not good any more"), "{rest}");
    stack.create_user("alice").await;
    assert_eq!(staying.next().await.expect("an event").kind, "user_created");
}

#[tokio::test]
async fn streams_end_when_management_stops() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    let server = stack.serve().await;
    let reader = Reader::open(server, "").await;
    stack.tasks.stop();
    let rest = reader.rest().await;
    assert!(rest.contains(": management is stopping\n\n"), "{rest}");
}

#[tokio::test]
async fn a_key_has_so_many_streams_and_gets_back_those_that_it_closes() {
    let stack = Stack::start_with(&[("EVENTS_MAX_STREAMS_PER_KEY", "2")]).await;
    stack.enrol("node-1").await;
    let server = stack.serve().await;
    let first = Reader::open(server, "").await;
    let _second = Reader::open(server, "").await;
    let refused = ask(server, "", ADMIN_KEY, None).await;
    assert_eq!(refused.status(), 429);
    assert!(refused.headers().contains_key("retry-after"));
    drop(first);
    let room = vpnmanager_testbed::wait::until(vpnmanager_testbed::wait::SOON, "room", async || {
        ask(server, "", ADMIN_KEY, None).await.status() == 200
    });
    room.await.expect("in time");
}

#[tokio::test]
async fn what_is_no_filter_is_refused_and_an_id_of_another_trail_begins_anew() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    let server = stack.serve().await;
    for query in [
        "?type=user_vanished",
        "?subject=cats",
        "?after=-1",
        "?username=a%20b",
        "?type=user_created&type=user_removed",
    ] {
        assert_eq!(ask(server, query, ADMIN_KEY, None).await.status(), 400, "{query}");
    }
    let mut reader = Reader::open(server, "?after=1000000&type=user_created").await;
    assert_ne!(reader.last_id, "1000000");
    stack.create_user("alice").await;
    assert_eq!(reader.next().await.expect("an event").kind, "user_created");
}
