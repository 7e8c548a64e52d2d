//! The partitions.

use std::time::Duration;

use sea_orm::ConnectionTrait;
use vpnmanager_management::ops::housekeeping::{make_audit_partitions, unarchived};

use super::{entries, entry_at, number, text};
use crate::database::{connect, connect_fresh, fresh_database, run};

async fn is_refused(db: &impl ConnectionTrait, sql: &str) {
    let refused = db.execute_unprepared(sql).await.expect_err(sql);
    assert!(refused.to_string().contains("append-only"), "{sql}: {refused}");
}

#[tokio::test]
async fn entries_are_neither_changed_nor_deleted_nor_emptied_out_in_any_partition() {
    let db = connect_fresh().await;
    entry_at(&db, "now()", "user_created").await;
    entry_at(&db, "now() + interval '3 years'", "user_created").await;
    let before = entries(&db).await;
    let names = text(
        &db,
        "SELECT string_agg(inhrelid::regclass::text, ' ') FROM pg_inherits WHERE inhparent = 'audit_log'::regclass",
    );
    let names = format!("audit_log {}", names.await);
    for name in names.split(' ') {
        // The statement must be refused even where there is no row.
        is_refused(&db, &format!("TRUNCATE {name}")).await;
        is_refused(&db, &format!("TRUNCATE users, {name} CASCADE")).await;
    }
    for sql in [
        "UPDATE audit_log SET action = 'x'",
        "DELETE FROM audit_log",
        "UPDATE audit_log_default SET action = 'x'",
        "DELETE FROM audit_log_default",
        "INSERT INTO audit_log SELECT * FROM audit_log ON CONFLICT (id, timestamp) DO UPDATE SET action = 'x'",
        "MERGE INTO audit_log a USING (SELECT 1) x ON true WHEN MATCHED THEN DELETE",
        // Moves the row into another partition.
        "UPDATE audit_log SET timestamp = timestamp + interval '1 month'",
    ] {
        is_refused(&db, sql).await;
    }
    assert_eq!(entries(&db).await, before);
}

#[tokio::test]
async fn an_entry_without_its_month_is_taken_and_moved_when_the_month_is_made() {
    let db = connect_fresh().await;
    run(
        &db,
        "DROP TABLE audit_log_default; CREATE TABLE audit_log_default PARTITION OF audit_log DEFAULT",
    )
    .await;
    let this_month = text(&db, "SELECT name FROM audit_log_partitions() ORDER BY ends_at LIMIT 1").await;
    run(&db, &format!("DROP TABLE {this_month}")).await;
    for at in ["now()", "now() - interval '5 months'", "now() + interval '9 years'"] {
        entry_at(&db, at, "user_created").await;
    }
    let waiting = "SELECT count(*) FROM audit_log_default";
    assert_eq!(number(&db, waiting).await, 3);
    let before = entries(&db).await;

    make_audit_partitions(&db).await.expect("made");

    assert_eq!(entries(&db).await, before, "the same entries, with their ids");
    assert_eq!(number(&db, waiting).await, 1, "a far month waits until it is near");
    assert_eq!(number(&db, &format!("SELECT count(*) FROM {this_month}")).await, 1);
    is_refused(&db, "TRUNCATE audit_log_default").await;
    is_refused(&db, &format!("DELETE FROM {this_month}")).await;
    let partitions = number(&db, "SELECT count(*) FROM audit_log_partitions()").await;
    make_audit_partitions(&db).await.expect("nothing is left to do");
    assert_eq!(
        number(&db, "SELECT count(*) FROM audit_log_partitions()").await,
        partitions
    );
}

#[tokio::test]
async fn replicas_may_make_months_at_once() {
    let url = fresh_database().await;
    let db = connect(&url).await;
    for month in text(&db, "SELECT string_agg(name, ' ') FROM audit_log_partitions()")
        .await
        .split(' ')
    {
        run(&db, &format!("DROP TABLE {month}")).await;
    }
    entry_at(&db, "now()", "user_created").await;
    let mut replicas = Vec::new();
    for _ in 0..4 {
        replicas.push(connect(&url).await);
    }
    for made in futures_util::future::join_all(replicas.iter().map(make_audit_partitions)).await {
        made.expect("made, or left to the other");
    }
    assert_eq!(number(&db, "SELECT count(*) FROM audit_log_partitions()").await, 4);
    assert_eq!(number(&db, "SELECT count(*) FROM audit_log").await, 1);
}

#[tokio::test]
async fn what_a_caller_may_ask_of_the_function_is_bounded() {
    let db = connect_fresh().await;
    for wrong in ["-1", "25", "NULL", "2147483647"] {
        let sql = format!("SELECT audit_log_make_partitions({wrong})");
        let refused = db.execute_unprepared(&sql).await.expect_err(&sql);
        assert!(refused.to_string().contains("months_ahead"), "{refused}");
    }
    run(
        &db,
        "SET timezone = 'Pacific/Kiritimati'; SET datestyle = 'German, DMY'; SELECT audit_log_make_partitions(24)",
    )
    .await;
    let odd = "SELECT count(*) FROM audit_log_partitions() WHERE starts_at <> date_trunc('month', starts_at, 'UTC')";
    assert_eq!(
        (
            number(&db, odd).await,
            number(&db, "SELECT count(*) FROM audit_log_partitions()").await
        ),
        (0, 25)
    );
}

#[tokio::test]
async fn months_that_wait_for_their_archive_are_named_and_stay() {
    let db = connect_fresh().await;
    entry_at(&db, "'2020-05-05'", "user_created").await;
    entry_at(&db, "'2020-03-03'", "user_created").await;
    make_audit_partitions(&db).await.expect("made");
    let day = Duration::from_secs(24 * 60 * 60);
    assert_eq!(
        unarchived(&db, 400 * day).await.expect("read"),
        ["audit_log_2020_03", "audit_log_2020_05"]
    );
    assert_eq!(unarchived(&db, 36_500 * day).await.expect("read"), Vec::<String>::new());
    assert_eq!(number(&db, "SELECT count(*) FROM audit_log").await, 2);
}
