//! What a look costs: it reads the sessions that may live, by an index, and not the history.

use std::time::Duration;

use sea_orm::{ConnectionTrait as _, DatabaseConnection, FromQueryResult, Statement, TransactionTrait as _};
use vpnmanager_management::ops::sessions::{find_crowded, find_excess};

use crate::database::{connect_fresh, run};

#[derive(FromQueryResult)]
struct Line {
    #[sea_orm(from_alias = "QUERY PLAN")]
    line: String,
}

/// The plan of a statement, in a session like management's.
async fn plan(db: &DatabaseConnection, statement: Statement) -> String {
    let explain = Statement {
        sql: format!("EXPLAIN (COSTS OFF) {}", statement.sql),
        ..statement
    };
    let transaction = db.begin().await.expect("begun");
    transaction
        .execute_unprepared("SET LOCAL enable_seqscan = off")
        .await
        .expect("set");
    let lines = Line::find_by_statement(explain)
        .all(&transaction)
        .await
        .expect("a plan");
    lines.iter().map(|row| format!("{}\n", row.line)).collect()
}

#[tokio::test]
async fn a_look_reads_the_sessions_that_may_live_by_their_users() {
    let db = connect_fresh().await;
    run(
        &db,
        "INSERT INTO sessions (server_id, since, cid, common_name, user_id, real_address, bytes_in, bytes_out, seen_at, ended_at, gone_at, end_kind)
         SELECT 'node-1', date_trunc('second', now()) - i * interval '1 minute', i, 'c', i % 500, 'a', 0, 0, now(),
             date_trunc('second', now()), date_trunc('second', now()), 'seen'
         FROM generate_series(61, 10000) i;
         INSERT INTO sessions (server_id, since, cid, common_name, user_id, real_address, bytes_in, bytes_out, seen_at)
         SELECT 'node-1', date_trunc('second', now()), i, 'c', i, 'a', 0, 0, now() FROM generate_series(1, 60) i;
         ANALYZE sessions",
    )
    .await;
    for (statement, index) in [
        // Either of the indexes of what may live.
        (find_crowded::query(0, 1, 200), "sessions_open"),
        (
            find_excess::query(&[1, 2, 3], Duration::from_secs(15)),
            "sessions_open_of_user",
        ),
    ] {
        let plan = plan(&db, statement).await;
        assert!(plan.contains(index), "{plan}");
        assert!(!plan.contains("Seq Scan on sessions"), "{plan}");
    }
}
