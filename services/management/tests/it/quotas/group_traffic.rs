//! The traffic of the members of a group.

use chrono::{Days, Utc};
use poem::http::StatusCode;
use sea_orm::{ConnectionTrait as _, TransactionTrait as _};
use vpnmanager_management::ops::sessions::read_group_traffic::read_group_traffic;

use super::{at_rest, transfer};
use crate::database::{run, until};
use crate::stack::{Stack, WithKey as _, json_of, problem_of};

/// By node: bytes from clients, bytes to them, sessions.
async fn traffic(stack: &Stack, group: &str) -> Option<Vec<(String, i64, i64, i64)>> {
    let today = Utc::now().date_naive();
    // Whenever a test runs, with what was written shortly before midnight.
    let from = today.checked_sub_days(Days::new(1)).expect("a day");
    let group = group.parse().expect("a name");
    let days = read_group_traffic(&stack.app.db, &group, (from, today)).await;
    let days = days.expect("read")?.into_iter();
    let days = days.map(|day| (day.server_id.to_string(), day.bytes_in, day.bytes_out, day.sessions));
    Some(days.collect())
}

#[tokio::test]
async fn what_members_transferred_is_added_up_for_each_day_and_node() {
    let stack = at_rest(&["alice", "bob", "carol", "dave"]).await;
    run(
        &stack.app.db,
        "UPDATE users SET group_name = 'sales' WHERE username <> 'carol'",
    )
    .await;
    for (name, bytes, days_ago) in [
        ("alice", 10, 0),
        ("bob", 30, 0),
        ("carol", 500, 0),
        ("dave", 700, 0),
        ("bob", 900, 9),
    ] {
        transfer(&stack, name, bytes, days_ago).await;
    }
    run(
        &stack.app.db,
        "UPDATE users SET removed_at = now() WHERE username = 'dave';
         INSERT INTO traffic_days SELECT day, user_id, username, 'node-0', 1, 2, 3 FROM traffic_days WHERE username = 'alice'",
    )
    .await;
    let of = |node: &str, bytes_in, bytes_out, sessions| (node.to_owned(), bytes_in, bytes_out, sessions);
    assert_eq!(
        traffic(&stack, "sales").await,
        Some(vec![of("node-0", 1, 2, 3), of("node-1", 20, 20, 2)])
    );
    assert_eq!(traffic(&stack, "default").await, Some(vec![of("node-1", 250, 250, 1)]));
    assert_eq!(traffic(&stack, "engineering").await, None);
}

#[tokio::test]
async fn an_answer_has_a_quarter_of_days_at_most() {
    let stack = Stack::start().await;
    let client = stack.client();
    for (query, is_answered) in [
        ("", true),
        ("?from=2026-01-01&until=2026-04-02", true),
        ("?from=2026-01-01&until=2026-04-03", false),
        ("?from=2020-01-01", false),
        ("?from=2026-02-01&until=2026-01-01", true),
        ("?until=2020-01-01", true),
    ] {
        let path = format!("/api/groups/default/traffic{query}");
        let answer = client.get(path).admin().send().await;
        if is_answered {
            json_of(answer, StatusCode::OK).await;
        } else {
            let (problem, fields) = problem_of(answer, StatusCode::CONFLICT).await;
            assert_eq!(fields, ["from"], "{problem}");
        }
    }
}

#[tokio::test]
async fn one_question_is_answered_at_a_time() {
    let stack = Stack::start().await;
    let (client, db) = (stack.client(), &stack.app.db);
    let ask = || client.get("/api/groups/default/traffic").admin().send();
    // The first one takes long.
    let holder = db.begin().await.expect("begun");
    let lock = "LOCK TABLE traffic_days IN ACCESS EXCLUSIVE MODE";
    holder.execute_unprepared(lock).await.expect("locked");
    let meanwhile = async {
        until(
            db,
            "the first question to wait",
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
             AND query LIKE '%GROUP BY d.day%'",
        )
        .await;
        let refused = ask().await;
        refused.assert_header("retry-after", "5");
        problem_of(refused, StatusCode::TOO_MANY_REQUESTS).await;
        holder.rollback().await.expect("rolled back");
    };

    let (first, ()) = tokio::join!(ask(), meanwhile);

    first.assert_status(StatusCode::OK);
    ask().await.assert_status(StatusCode::OK);
}
