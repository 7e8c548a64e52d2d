//! Claiming placements: leases, skipped locks, and the content of commands.

use std::time::Duration;

use sea_orm::ConnectionTrait;
use vpnmanager_management::ops::{
    publications::{
        claim::{claim, is_any_due},
        record,
    },
    users::read::UserView,
};
use vpnmanager_nats::commands::{Command, Role};
use vpnmanager_testbed::wait;

use super::{create, enrol, unpublish, view};
use crate::stack::Stack;

/// A stack with these nodes and alice, whose placements are in the stream.
async fn with_alice(nodes: &[&str]) -> (Stack, UserView) {
    let stack = Stack::start().await;
    for id in nodes {
        enrol(&stack, id).await;
    }
    let alice = create(&stack, "alice").await;
    wait::until(wait::SOON, "alice is in the stream", async || {
        published(&stack, "alice").await
    })
    .await
    .expect("published");
    (stack, alice)
}

async fn published(stack: &Stack, username: &str) -> bool {
    view(stack, username)
        .await
        .expect("there")
        .placements
        .iter()
        .all(|placement| placement.published_revision == 1)
}

#[tokio::test]
async fn a_new_user_is_published_to_each_of_its_nodes_at_once() {
    let (stack, _) = with_alice(&["node-1", "node-2"]).await;
    let sequences: Vec<i64> = view(&stack, "alice")
        .await
        .expect("there")
        .placements
        .iter()
        .map(|placement| placement.published_sequence)
        .collect();
    assert!(sequences.iter().all(|sequence| *sequence > 0), "{sequences:?}");
}

#[tokio::test]
async fn what_one_replica_claimed_no_other_claims_until_the_lease_ends() {
    let (stack, _) = with_alice(&["node-1"]).await;
    stack.end_tasks().await;
    unpublish(&stack).await;

    let first = claim(&stack.app.db).await.expect("claimed");
    assert_eq!(first.len(), 1);
    assert!(claim(&stack.app.db).await.expect("claimed").is_empty());

    let lapse = "UPDATE placements SET lease_until = now() - interval '1 second'";
    stack.app.db.execute_unprepared(lapse).await.expect("lapsed");
    let again = claim(&stack.app.db).await.expect("claimed");
    assert_eq!((again.len(), again[0].attempts), (1, first[0].attempts + 1));
}

#[tokio::test]
async fn the_home_is_told_to_issue_and_its_profile_names_it_first() {
    let (stack, alice) = with_alice(&["node-1", "node-2"]).await;
    stack.end_tasks().await;
    unpublish(&stack).await;

    let claims = claim(&stack.app.db).await.expect("claimed");

    let puts: Vec<_> = claims
        .into_iter()
        .map(|claim| match claim.publication.command.body {
            Command::PutUser(put) => put,
            Command::RemoveUser(remove) => panic!("{remove:?}"),
        })
        .collect();
    let home = puts.iter().find(|put| put.role == Role::Home).expect("a home");
    let standby = puts.iter().find(|put| put.role == Role::Standby).expect("a standby");
    assert_eq!(home.node, alice.user.server_id);
    let issue = home.issue.as_ref().expect("something to issue");
    assert_eq!(issue.remotes.len(), 2);
    assert_eq!(home.credentials, std::slice::from_ref(&issue.common_name));
    assert_eq!((&standby.credentials, &standby.issue), (&home.credentials, &None));
}

#[tokio::test]
async fn what_is_in_the_stream_for_long_and_not_applied_is_published_again() {
    let (stack, _) = with_alice(&["node-1"]).await;
    stack.end_tasks().await;

    let minute = Duration::from_secs(60);
    assert_eq!(
        record::republish_overdue(&stack.app.db, minute).await.expect("looked"),
        0
    );
    let age = "UPDATE placements SET published_at = now() - interval '2 minutes'";
    stack.app.db.execute_unprepared(age).await.expect("aged");
    // A node that is not heard applies nothing; the stream is compared when it returns.
    for (state, found) in [("lost", 0), ("stale", 0), ("healthy", 1)] {
        let change = format!("UPDATE servers SET state = '{state}'");
        stack.app.db.execute_unprepared(&change).await.expect("changed");
        let republished = record::republish_overdue(&stack.app.db, minute).await;
        assert_eq!(republished.expect("looked"), found, "{state}");
    }
    assert_eq!(claim(&stack.app.db).await.expect("claimed").len(), 1);
}

/// Users of a node that nobody has published yet. Every second one loses its access.
async fn due(stack: &Stack, name: &str, count: u32, node: &str) {
    let made = format!(
        "WITH made AS (
             INSERT INTO users (key, username, server_id, created_by)
             SELECT gen_random_uuid(), '{name}' || n, '{node}', 'test' FROM generate_series(1, {count}) n RETURNING id)
         INSERT INTO placements (user_id, server_id, role, wanted_revision, urgent_since)
         SELECT id, '{node}', 'home', 1, CASE WHEN id % 2 = 0 THEN now() END FROM made"
    );
    stack.app.db.execute_unprepared(&made).await.expect("made");
}

/// One node has thousands of commands to be published, and they were due first.
#[tokio::test]
async fn a_node_with_very_many_due_commands_holds_up_no_other() {
    let (stack, _) = with_alice(&["node-1", "node-2"]).await;
    stack.end_tasks().await;
    due(&stack, "user", 3000, "node-1").await;
    due(&stack, "late", 3, "node-2").await;

    let claims = claim(&stack.app.db).await.expect("claimed");

    assert_eq!(claims.len(), 256);
    let late = claims
        .iter()
        .filter(|claim| claim.publication.command.body.username().as_str().starts_with("late"));
    assert_eq!(late.count(), 3, "also those that end nobody's access");
    assert!(is_any_due(&stack.app.db).await.expect("looked"));
}
