//! The totals of nodes equal a full count of their placements, whatever changes them, and at any moment.

use chrono::{DateTime, Utc};
use fastrand::Rng;
use futures_util::future::join_all;
use sea_orm::{ConnectionTrait, FromQueryResult, IsolationLevel, Statement, TransactionTrait};
use vpnmanager_management::ops::{
    credentials::revoke_node::NodeCredentials,
    nodes::{
        deregister::deregister_node,
        read::{Progress, progress_of},
        sum_totals::{recount, sum_totals},
    },
    reports::apply_reports::apply_reports,
    users::remove::remove_user,
};
use vpnmanager_nats::{ids::NodeId, sync::StateDigest};
use vpnmanager_runtime::reconcile::Next;
use vpnmanager_testbed::wait;

use super::{actor, applied, create, enrol, node};
use crate::{database::run, stack::Stack};

const NODES: [&str; 3] = ["node-1", "node-2", "node-3"];

#[derive(Debug, FromQueryResult)]
struct Counted {
    wanted: i64,
    applied: i64,
    pending: i64,
    oldest_pending_at: Option<DateTime<Utc>>,
    last_error: Option<String>,
    digest: Option<i64>,
    last_applied_at: Option<DateTime<Utc>>,
}

/// Reads every placement of the node.
async fn count(db: &impl ConnectionTrait, node: &NodeId) -> Progress {
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        "SELECT count(*) FILTER (WHERE wanted_present) AS wanted,
             count(*) FILTER (WHERE applied_revision >= wanted_revision) AS applied,
             count(*) FILTER (WHERE applied_revision < wanted_revision) AS pending,
             min(COALESCE(published_at, created_at)) FILTER (WHERE applied_revision < wanted_revision) AS oldest_pending_at,
             (array_agg(error ORDER BY id DESC) FILTER (WHERE error IS NOT NULL))[1] AS last_error,
             bit_xor(digest) AS digest, max(applied_at) AS last_applied_at
         FROM placements WHERE server_id = $1",
        [node.clone().into()],
    );
    let counted = Counted::find_by_statement(statement).one(db).await.expect("counted");
    let counted = counted.expect("a row");
    Progress {
        wanted: counted.wanted,
        applied: counted.applied,
        pending: counted.pending,
        oldest_pending_at: counted.oldest_pending_at,
        last_error: counted.last_error,
        last_applied_at: counted.last_applied_at,
        digest: StateDigest(counted.digest.unwrap_or_default().cast_unsigned()),
    }
}

/// Compares totals and counts of all nodes, as of one moment.
pub(super) async fn compare(stack: &Stack) {
    let moment = stack
        .app
        .db
        .begin_with_config(Some(IsolationLevel::RepeatableRead), None)
        .await
        .expect("a transaction");
    let nodes = NODES.map(node);
    let totals = progress_of(&moment, &nodes).await.expect("read");
    for node in &nodes {
        let counted = count(&moment, node).await;
        let total = totals.get(node).cloned().unwrap_or_default();
        // A removed user's row is gone, its time is not.
        assert!(
            total.last_applied_at >= counted.last_applied_at,
            "{node}: {total:?} {counted:?}"
        );
        let counted = Progress {
            last_applied_at: total.last_applied_at,
            ..counted
        };
        assert_eq!(total, counted, "{node}");
    }
    moment.rollback().await.expect("ended");
}

/// One random change of the placements of users with this prefix.
async fn change(stack: &Stack, rng: &mut Rng, prefix: &str) {
    let some = format!(
        "user_id IN (SELECT id FROM users WHERE username LIKE '{prefix}%' ORDER BY md5(id::text || '{}') LIMIT 5)",
        rng.u32(..)
    );
    let server = NODES[rng.usize(..NODES.len())];
    let digest = rng.i64(..);
    let statement = match rng.u8(..8) {
        0 | 1 => format!(
            "WITH made AS (
                 INSERT INTO users (key, username, server_id, created_by)
                 SELECT gen_random_uuid(), '{prefix}' || gen_random_uuid(), '{server}', 'test' FROM generate_series(1, {}) RETURNING id)
             INSERT INTO placements (user_id, server_id, role, wanted_revision)
             SELECT made.id, s.name, 'home', 1 FROM made CROSS JOIN servers s",
            rng.u8(1..9)
        ),
        2 => format!(
            "UPDATE placements SET applied_revision = wanted_revision, digest = {digest} # id, applied_at = now(), error = NULL
             WHERE {some}"
        ),
        3 => format!("UPDATE placements SET wanted_revision = wanted_revision + 1 WHERE {some} AND server_id = '{server}'"),
        4 => format!("UPDATE placements SET wanted_present = NOT wanted_present WHERE {some}"),
        5 => format!("UPDATE placements SET published_revision = wanted_revision, published_at = now(), error = 'e' WHERE {some}"),
        6 => format!("DELETE FROM users WHERE id IN (SELECT user_id FROM placements WHERE {some} LIMIT 3)"),
        _ => format!("DELETE FROM placements WHERE {some} AND server_id = '{server}'"),
    };
    run(&stack.app.db, &statement).await;
}

async fn fleet() -> Stack {
    let stack = Stack::start().await;
    for name in NODES {
        enrol(&stack, name).await;
    }
    stack
}

async fn sum_all(stack: &Stack) {
    while sum_totals(&stack.app.leases).await.expect("summed") == Next::Again {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_totals_equal_a_count_while_many_change_placements_and_others_sum() {
    let stack = fleet().await;
    stack.end_tasks().await;
    let changers = (0..6).map(async |number: u64| {
        let mut rng = Rng::with_seed(number);
        for _ in 0..60 {
            change(&stack, &mut rng, &format!("u{number}-")).await;
        }
    });
    let summers = (0..2).map(async |_: u64| {
        for _ in 0..60 {
            sum_totals(&stack.app.leases).await.expect("summed");
            compare(&stack).await;
        }
    });
    tokio::join!(join_all(changers), join_all(summers));
    compare(&stack).await;
    sum_all(&stack).await;
    compare(&stack).await;
    let users = progress_of(&stack.app.db, &[node("node-1")]).await.expect("read");
    assert!(users[&node("node-1")].wanted > 10, "{users:?}");
}

#[tokio::test]
async fn a_removal_counts_as_a_change_of_the_node_after_its_row_is_gone() {
    let stack = fleet().await;
    let alice = create(&stack, "alice").await;
    let placed: Vec<NodeId> = alice.placements.iter().map(|placed| placed.server_id.clone()).collect();
    for name in &placed {
        let ack = applied(name.as_str(), &alice, 1);
        apply_reports(&stack.app, &[ack], &[]).await.expect("recorded");
    }
    let before = progress_of(&stack.app.db, &placed).await.expect("read");
    remove_user(&stack.app, &actor(), &alice.user.username)
        .await
        .expect("removed");
    for name in &placed {
        let ack = applied(name.as_str(), &alice, 2);
        apply_reports(&stack.app, &[ack], &[]).await.expect("recorded");
    }
    assert!(super::view(&stack, "alice").await.is_none());
    let after = progress_of(&stack.app.db, &placed).await.expect("read");
    for name in &placed {
        let (before, after) = (&before[name], &after[name]);
        assert_eq!((after.wanted, after.applied, after.pending), (0, 0, 0), "{name}");
        assert_eq!(after.digest, StateDigest(0), "{name}");
        assert!(after.last_applied_at > before.last_applied_at, "{name}: {after:?}");
    }
}

#[tokio::test]
async fn a_node_that_is_enrolled_again_begins_with_nothing() {
    let stack = fleet().await;
    create(&stack, "alice").await;
    sum_all(&stack).await;
    create(&stack, "bob").await;
    deregister_node(&stack.app, &actor(), &node("node-1"), NodeCredentials::Keep)
        .await
        .expect("deregistered");
    let totals = progress_of(&stack.app.db, &[node("node-1")]).await.expect("read");
    assert!(totals.is_empty(), "{totals:?}");
    compare(&stack).await;
}

#[tokio::test]
async fn a_start_counts_anew_what_a_restored_dump_or_a_person_made_wrong() {
    let stack = fleet().await;
    create(&stack, "alice").await;
    sum_all(&stack).await;
    create(&stack, "bob").await;
    run(&stack.app.db, "UPDATE node_totals SET wanted = wanted * 2, digest = 7").await;
    recount(&stack.app.db).await.expect("counted");
    compare(&stack).await;
}

/// A replica that starts holds up nobody while the totals are right.
#[tokio::test]
async fn a_start_that_finds_the_totals_right_waits_for_nobody_and_changes_nothing() {
    let stack = fleet().await;
    create(&stack, "alice").await;
    sum_all(&stack).await;
    create(&stack, "bob").await;
    let somebody = stack.app.db.begin().await.expect("begun");
    let change = "UPDATE placements SET lease_until = 'epoch'";
    somebody.execute_unprepared(change).await.expect("changed");
    tokio::time::timeout(wait::SOON, recount(&stack.app.db))
        .await
        .expect("it waits for the one who changes placements")
        .expect("counted");
    somebody.rollback().await.expect("ended");
    compare(&stack).await;
}

/// As pg_restore does it, so that nothing but what the dump names is found.
#[tokio::test]
async fn totals_follow_changes_of_a_session_without_a_search_path() {
    let stack = fleet().await;
    create(&stack, "alice").await;
    let moment = stack.app.db.begin().await.expect("a transaction");
    let change = "SET LOCAL search_path = '';
         CREATE TEMPORARY TABLE kept ON COMMIT DROP AS SELECT * FROM public.placements;
         UPDATE public.placements SET wanted_revision = wanted_revision + 1;
         DELETE FROM public.placements;
         INSERT INTO public.placements SELECT * FROM kept";
    moment.execute_unprepared(change).await.expect("changed");
    moment.commit().await.expect("committed");
    compare(&stack).await;
}
