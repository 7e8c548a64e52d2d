//! The migration that gave the trail its months.

use sea_orm::DatabaseConnection;
use vpnmanager_migration::{Standing, standing_of};
use vpnmanager_testbed::postgres;

use super::{entry_at, number, text};
use crate::database::{connect, connect_fresh, run};

const FIRST: &str = include_str!("../../../../../migration/src/m20261122_000001_initial.sql");
const OLD_COLUMNS: &str =
    "(id, timestamp, action, username, details, ip_address, server_id, actor, request_id, before, after, event_id)";

/// A database with the schema of the first release.
async fn old_database() -> DatabaseConnection {
    let cluster = postgres::shared().await.expect("PostgreSQL");
    let name = format!("old_{}", uuid::Uuid::now_v7().simple());
    let url = cluster.create_database(&name).await.expect("a database");
    let db = connect(&url).await;
    run(&db, FIRST).await;
    run(
        &db,
        "CREATE TABLE seaql_migrations (version VARCHAR NOT NULL PRIMARY KEY, applied_at BIGINT NOT NULL);
         INSERT INTO seaql_migrations VALUES ('m20261122_000001_initial', 0)",
    )
    .await;
    db
}

async fn old_entries(db: &DatabaseConnection) -> String {
    let sql = format!("SELECT string_agg({OLD_COLUMNS}::text, '|' ORDER BY id) FROM audit_log");
    text(db, &sql).await
}

#[tokio::test]
async fn no_row_is_lost_or_changed_and_ids_go_on() {
    let db = old_database().await;
    // A node's clock may have been wrong: its events lie anywhere.
    for at in [
        "'1971-01-01'",
        "now() - interval '14 months'",
        "now()",
        "now() + interval '40 days'",
        "'9999-12-31'",
    ] {
        entry_at(&db, at, "openvpn_up").await;
    }
    run(
        &db,
        "INSERT INTO audit_log (action, server_id, actor, event_id) VALUES ('user_expired', 'node-1', 'node:node-1', gen_random_uuid())",
    )
    .await;
    run(&db, "SELECT nextval(pg_get_serial_sequence('audit_log', 'id'))").await;
    let before = old_entries(&db).await;
    let event = text(&db, "SELECT event_id FROM audit_log WHERE event_id IS NOT NULL").await;

    vpnmanager_migration::run(&db).await.expect("migrated");

    assert_eq!(old_entries(&db).await, before);
    entry_at(&db, "now()", "user_created").await;
    assert_eq!(number(&db, "SELECT max(id) FROM audit_log").await, 8);
    assert_eq!(text(&db, "SELECT event_id FROM recorded_events").await, event);
    let first = "SELECT count(*) FROM audit_log WHERE tableoid = 'audit_log_first'::regclass";
    assert_eq!(number(&db, first).await, 5, "rows are not moved without need");
    let unknown = "SELECT count(*) FROM audit_log WHERE reported_at IS NOT NULL";
    assert_eq!(number(&db, unknown).await, 0);
}

#[tokio::test]
async fn an_empty_trail_begins_with_this_month() {
    let db = old_database().await;
    vpnmanager_migration::run(&db).await.expect("migrated");
    vpnmanager_migration::run(&db).await.expect("nothing is left to do");

    let months = text(
        &db,
        "SELECT string_agg(name, ' ' ORDER BY ends_at) FROM audit_log_partitions()",
    )
    .await;
    let expected =
        "SELECT string_agg(to_char(date_trunc('month', now(), 'UTC') AT TIME ZONE 'UTC' + make_interval(months => i),
                    '\"audit_log_\"YYYY_MM'), ' ' ORDER BY i) FROM generate_series(0, 3) i";
    assert_eq!(months, text(&db, expected).await);
}

#[tokio::test]
async fn an_older_database_is_told_from_a_newer_one() {
    let db = connect_fresh().await;
    assert_eq!(standing_of(&db).await.expect("read"), Standing::UpToDate);
    run(&db, "DELETE FROM seaql_migrations WHERE version LIKE '%initial'").await;
    assert_eq!(standing_of(&db).await.expect("read"), Standing::Older);
    run(
        &db,
        "INSERT INTO seaql_migrations VALUES ('m29990102_000001_later', 0), ('m29990101_000001_late', 0)",
    )
    .await;
    let newer = Standing::Newer {
        migration: "m29990102_000001_later".to_owned(),
    };
    assert_eq!(standing_of(&db).await.expect("read"), newer);
    run(&db, "DROP TABLE seaql_migrations").await;
    assert_eq!(standing_of(&db).await.expect("read"), Standing::Older);
}
