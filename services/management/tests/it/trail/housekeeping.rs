//! Rows that are deleted when they are of no use.

use std::time::Duration;

use sea_orm::{ConnectionTrait as _, TransactionTrait as _};
use vpnmanager_management::ops::housekeeping::{Kept, delete_old_rows};

use super::{number, text};
use crate::database::{connect_fresh, run};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const KEPT: Kept = Kept {
    health: DAY.saturating_mul(90),
    sessions: DAY.saturating_mul(90),
    traffic: DAY.saturating_mul(400),
};

#[tokio::test]
async fn old_rows_go_in_batches_and_young_ones_stay() {
    let db = connect_fresh().await;
    run(
        &db,
        "INSERT INTO servers (name, host, public_host, bus_public_key) SELECT 'node-' || i, 'h', 'h', 'U' FROM generate_series(1, 3) i;
         INSERT INTO health_history (server_id, at, state, sessions, bytes_in, bytes_out)
             SELECT 'node-' || (1 + i % 3), now() - i * interval '1 hour', 'healthy', 0, 0, 0 FROM generate_series(1, 4000) i;
         INSERT INTO recorded_events SELECT gen_random_uuid(), now() - i * interval '1 day' FROM generate_series(1, 100) i;
         INSERT INTO intents SELECT gen_random_uuid(), 'node-1', '{}', now() - i * interval '1 day' FROM generate_series(1, 200) i;
         INSERT INTO audit_room (server_id, action, room, refilled_at, left_out)
             SELECT 'node-1', 'action-' || i, 1, now() - interval '2 days', i % 2 FROM generate_series(1, 10) i;
         INSERT INTO audit_room (server_id, action, room, refilled_at) VALUES ('node-1', 'young', 1, now());
         INSERT INTO users (id, key, username, server_id, created_by) VALUES (1, gen_random_uuid(), 'alice', 'node-1', 'key:admin');
         INSERT INTO profile_links (hash, user_id, created_by, expires_at, uses_left)
             SELECT convert_to(i::text, 'UTF8'), 1, 'key:admin', now() - i * interval '1 day', i % 2 FROM generate_series(1, 100) i;
         INSERT INTO idempotency_keys (caller, key_hash, fingerprint, claim, claimed_by, lease_until, created_at)
             SELECT 'ci', convert_to(i::text, 'UTF8'), '', 1, 'm', now(), now() - i * interval '1 hour' FROM generate_series(1, 50) i;
         INSERT INTO sessions (server_id, since, cid, common_name, real_address, bytes_in, bytes_out, seen_at, recorded_at, ended_at, gone_at, end_kind)
             SELECT 'node-1', now() - i * interval '1 day', 1, 'alice.x', 'a', 0, 0, now(), now() - i / 2 * interval '1 day', now(), now(), 'seen'
             FROM generate_series(1, 400) i;
         INSERT INTO sessions (server_id, since, cid, common_name, real_address, bytes_in, bytes_out, seen_at, recorded_at)
             SELECT 'node-' || i, now() - interval '200 days', 2, 'alice.x', 'a', 0, 0, now(), now() - interval '200 days'
             FROM generate_series(3, 4) i;
         INSERT INTO rollouts (pool, pool_id, state, drain, drain_for_seconds, actor, ended_at)
             SELECT 'gone', 999, 'done', true, 600, 'key:admin', now() - i * interval '1 day' FROM generate_series(1, 100) i;
         INSERT INTO rollouts (pool, pool_id, drain, drain_for_seconds, actor) VALUES ('gone', 998, true, 600, 'key:admin');
         INSERT INTO rollouts (pool, pool_id, state, drain, drain_for_seconds, actor, ended_at)
             SELECT name, id, 'done', true, 600, 'key:admin', now() - interval '100 days' FROM pools WHERE name = 'default';
         INSERT INTO rollout_nodes (rollout_id, server_id) SELECT id, 'node-1' FROM rollouts;
         INSERT INTO traffic_days
             SELECT (now() AT TIME ZONE 'UTC')::date - i, 1, 'alice', 'node-1', 0, 0, 1 FROM generate_series(0, 500) i",
    )
    .await;

    let mut batches = 1;
    while delete_old_rows(&db, KEPT).await.expect("deleted") {
        batches += 1;
    }

    assert_eq!(batches, 2, "1,840 samples, up to 1,000 at once");
    let left = async |table: &str| number(&db, &format!("SELECT count(*) FROM {table}")).await;
    assert_eq!(
        left("health_history").await,
        90 * 24 - 1,
        "each sample of the last 90 days"
    );
    assert_eq!(left("recorded_events").await, 29);
    assert_eq!(left("intents").await, 6, "a week");
    assert_eq!(left("profile_links").await, 29, "a month after their end");
    assert_eq!(left("idempotency_keys").await, 23, "a day");
    let rollouts = "SELECT string_agg(pool || ' ' || n, ' ' ORDER BY pool)
                    FROM (SELECT pool, count(*) n FROM rollouts GROUP BY pool) r";
    let rollouts = text(&db, rollouts).await;
    assert_eq!(
        rollouts, "default 1 gone 30",
        "the last one of a pool that is there, and one that goes on"
    );
    assert_eq!(left("rollout_nodes").await, 31);
    assert_eq!(left("sessions").await, 180, "by when they were heard of last");
    assert_eq!(
        text(&db, "SELECT server_id FROM sessions WHERE ended_at IS NULL").await,
        "node-3",
        "node-4 is not in the fleet"
    );
    assert_eq!(left("traffic_days").await, 401, "today and 400 days");
    let rooms = text(&db, "SELECT string_agg(action, ' ' ORDER BY action) FROM audit_room").await;
    assert_eq!(
        rooms, "action-1 action-3 action-5 action-7 action-9 young",
        "what waits for its summary stays"
    );
}

#[tokio::test]
async fn replicas_that_delete_at_once_take_different_rows_and_know_that_there_are_more() {
    let db = connect_fresh().await;
    let node = "INSERT INTO servers (name, host, public_host, bus_public_key) VALUES ('node-1', 'h', 'h', 'U')";
    run(&db, node).await;
    let user = "INSERT INTO users (id, key, username, server_id, created_by) VALUES (1, gen_random_uuid(), 'alice', 'node-1', 'x')";
    run(&db, user).await;
    for (table, columns, row) in [
        (
            "health_history",
            "server_id, at, state, sessions, bytes_in, bytes_out",
            "'node-1', old, 'healthy', 0, 0, 0",
        ),
        ("recorded_events", "event_id, recorded_at", "gen_random_uuid(), old"),
        (
            "intents",
            "id, server_id, answer, created_at",
            "gen_random_uuid(), 'node-1', '{}', old",
        ),
        (
            "audit_room",
            "server_id, action, room, refilled_at",
            "'node-1', old::text, 1, old",
        ),
        (
            "profile_links",
            "hash, user_id, created_by, expires_at, uses_left",
            "convert_to(old::text, 'UTF8'), 1, 'x', old, 1",
        ),
        (
            "idempotency_keys",
            "caller, key_hash, fingerprint, claim, claimed_by, lease_until, created_at",
            "'ci', convert_to(old::text, 'UTF8'), '', 1, 'm', old, old",
        ),
        (
            "sessions",
            "server_id, since, cid, common_name, real_address, bytes_in, bytes_out, seen_at, recorded_at, ended_at, gone_at, end_kind",
            "'node-1', old, 1, 'alice.x', 'a', 0, 0, old, old, old + interval '1 hour', old + interval '1 hour', 'seen'",
        ),
        (
            "rollouts",
            "pool, pool_id, state, drain, drain_for_seconds, actor, ended_at",
            "'gone', 999, 'done', true, 600, 'x', old",
        ),
        (
            "traffic_days",
            "day, user_id, username, server_id, bytes_in, bytes_out, sessions",
            "old::date, 1, 'alice', 'node-1', 0, 0, 1",
        ),
    ] {
        let insert = format!(
            "INSERT INTO {table} ({columns})
             SELECT {row} FROM generate_series(now() - interval '2500 days', now() - interval '1001 days', interval '1 day') old"
        );
        run(&db, &insert).await;
        // As another replica that has begun to delete.
        let other = db.begin().await.expect("begun");
        let lock = format!("SELECT FROM {table} LIMIT 400 FOR UPDATE");
        other.execute_unprepared(&lock).await.expect("locked");

        let more = delete_old_rows(&db, KEPT).await.expect("deleted");

        let left = number(&db, &format!("SELECT count(*) FROM {table}")).await;
        assert_eq!((more, left), (true, 500), "{table}");
        other.rollback().await.expect("ended");
        assert!(!delete_old_rows(&db, KEPT).await.expect("deleted"), "{table}");
        assert_eq!(
            number(&db, &format!("SELECT count(*) FROM {table}")).await,
            0,
            "{table}"
        );
    }
}
