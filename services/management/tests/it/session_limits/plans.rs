//! What a look costs: it reads the sessions that may live, by an index, and not the history.

use std::time::Duration;

use vpnmanager_management::ops::sessions::{find_crowded, find_excess};

use crate::database::{connect_fresh, plan_of, run};

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
        let plan = plan_of(&db, statement).await;
        assert!(plan.contains(index), "{plan}");
        assert!(!plan.contains("Seq Scan on sessions"), "{plan}");
    }
}
