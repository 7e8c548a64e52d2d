//! The traffic of days.

use chrono::{DateTime, TimeDelta, Utc};
use poem::http::StatusCode;
use serde_json::{Value, json};
use vpnmanager_nats::sessions::SessionRecord;

use super::{alive, assumed, at, began, credential_of, ended, get, tell};
use crate::database::run;
use crate::ops::{create, enrol};
use crate::stack::{Stack, WithKey as _, problem_of};

fn day(time: DateTime<Utc>) -> String {
    time.date_naive().to_string()
}

async fn days(stack: &Stack, path: &str) -> Vec<Value> {
    get(stack, path).await["items"].as_array().expect("items").clone()
}

#[tokio::test]
async fn bytes_count_on_the_days_over_which_they_came_and_sessions_on_that_of_their_start() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    enrol(&stack, "node-2").await;
    let (alice, bob) = (credential_of(&stack, "alice").await, credential_of(&stack, "bob").await);
    let session = began(&alice, 7, -600);
    for record in [
        alive(&session, -300, 100),
        alive(&session, 300, 150),
        ended(&session, 600, 160),
    ] {
        tell(&stack, "node-1", &[record]).await;
    }
    tell(&stack, "node-2", &[ended(&began(&alice, 1, 60), 600, 7)]).await;
    tell(&stack, "node-1", &[ended(&began(&bob, 8, -600), 600, 2)]).await;

    let (before, after) = (day(at(-1)), day(at(0)));
    let of = |day: &str, bytes: u64, sessions: u64| json!({ "day": day, "bytes_in": bytes, "bytes_out": 2 * bytes, "sessions": sessions });
    assert_eq!(
        days(&stack, "/api/users/alice/traffic").await,
        [of(&after, 42, 1), of(&before, 125, 1)]
    );
    assert_eq!(
        days(&stack, "/api/endnodes/node-1/traffic").await,
        [of(&after, 36, 0), of(&before, 126, 2)]
    );
    assert_eq!(days(&stack, "/api/endnodes/node-2/traffic").await, [of(&after, 7, 1)]);

    for (query, expected) in [
        (format!("from={after}"), vec![&after]),
        (format!("until={before}"), vec![&before]),
        (format!("from={before}&until={after}"), vec![&after, &before]),
        (format!("from={after}&until={before}"), vec![]),
        ("until=2020-01-01".to_owned(), vec![]),
    ] {
        let listed = days(&stack, &format!("/api/users/alice/traffic?{query}")).await;
        let listed: Vec<&str> = listed.iter().filter_map(|item| item["day"].as_str()).collect();
        assert_eq!(listed, expected, "{query}");
    }
}

#[tokio::test]
async fn what_came_in_an_outage_of_days_counts_on_each_of_them() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let alice = credential_of(&stack, "alice").await;
    let outage = -3 * 86_400;
    let (known, unknown) = (began(&alice, 7, outage), began(&alice, 8, outage));
    tell(&stack, "node-1", &[alive(&known, outage, 0)]).await;
    for record in [alive(&known, 0, 301), ended(&unknown, 0, 30)] {
        tell(&stack, "node-1", &[record]).await;
    }
    let listed = days(&stack, "/api/users/alice/traffic").await;
    let bytes: Vec<_> = listed
        .iter()
        .map(|item| (&item["day"], &item["bytes_in"], &item["bytes_out"]))
        .collect();
    let [third, second, first] = [-1, -2, -3].map(|days| json!(day(at(days * 86_400))));
    assert_eq!(
        bytes,
        [
            (&third, &json!(111), &json!(221)),
            (&second, &json!(110), &json!(221)),
            (&first, &json!(110), &json!(220)),
        ]
    );
}

#[tokio::test]
async fn nothing_counts_on_a_day_that_has_not_come() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let alice = credential_of(&stack, "alice").await;
    let ahead = SessionRecord {
        seen_at: at(86_400 * 400),
        ..alive(&began(&alice, 7, 0), 1, 9)
    };
    let earliest = day(Utc::now());
    tell(&stack, "node-1", &[ahead]).await;
    let listed = days(&stack, "/api/users/alice/traffic").await;
    let bytes = listed.iter().find(|item| item["bytes_in"] == json!(9)).expect("a day");
    let counted = bytes["day"].as_str().expect("a day").to_owned();
    assert!(earliest <= counted && counted <= day(Utc::now()), "{listed:?}");
}

#[tokio::test]
async fn the_bytes_of_an_end_that_nobody_saw_count_on_the_day_when_the_session_was_last_alive() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let alice = credential_of(&stack, "alice").await;
    tell(&stack, "node-1", &[assumed(&began(&alice, 7, -600), -300, 600, 9)]).await;
    assert_eq!(
        days(&stack, "/api/users/alice/traffic").await,
        [json!({ "day": day(at(-1)), "bytes_in": 9, "bytes_out": 18, "sessions": 1 })]
    );
}

#[tokio::test]
async fn nothing_counts_on_a_day_more_than_8_days_ago() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let alice = credential_of(&stack, "alice").await;
    let earliest = || day(Utc::now() - TimeDelta::days(8));
    let possible = earliest();
    let past = -86_400 * 400;
    tell(&stack, "node-1", &[alive(&began(&alice, 7, past), past + 60, 9)]).await;

    let listed = days(&stack, "/api/users/alice/traffic").await;
    let [item] = listed.as_slice() else {
        panic!("{listed:?}");
    };
    assert_eq!((&item["bytes_in"], &item["sessions"]), (&json!(9), &json!(1)));
    let counted = item["day"].as_str().expect("a day").to_owned();
    assert!(possible <= counted && counted <= earliest(), "{listed:?}");
}

#[tokio::test]
async fn a_name_that_is_given_again_begins_with_nothing() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let alice = credential_of(&stack, "alice").await;
    tell(&stack, "node-1", &[ended(&began(&alice, 7, 0), 600, 9)]).await;
    run(&stack.app.db, "UPDATE users SET removed_at = now()").await;
    create(&stack, "alice").await;
    assert_eq!(days(&stack, "/api/users/alice/traffic").await, Vec::<Value>::new());
    assert_eq!(days(&stack, "/api/endnodes/node-1/traffic").await.len(), 1);
}

#[tokio::test]
async fn a_node_that_claims_any_number_of_bytes_keeps_no_report_from_being_recorded_and_a_petabyte_a_day_counts() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let alice = credential_of(&stack, "alice").await;
    for cid in [1, 2] {
        let mut record = alive(&began(&alice, cid, 0), 1, 0);
        record.session.bytes_in = u64::MAX;
        tell(&stack, "node-1", &[record]).await;
    }
    let listed = days(&stack, "/api/endnodes/node-1/traffic").await;
    assert_eq!(
        (&listed[0]["bytes_in"], &listed[0]["bytes_out"], &listed[0]["sessions"]),
        (&json!(1_000_000_000_000_000_i64), &json!(0), &json!(2))
    );
}

#[tokio::test]
async fn traffic_of_nobody_is_not_found_and_a_day_that_is_none_is_refused() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    for path in ["/api/users/nobody/traffic", "/api/endnodes/nowhere/traffic"] {
        problem_of(stack.client().get(path).admin().send().await, StatusCode::NOT_FOUND).await;
    }
    for (query, field) in [
        ("from=2027-02-30", "from"),
        ("until=yesterday", "until"),
        ("from=2027-3-1", "from"),
    ] {
        let path = format!("/api/endnodes/node-1/traffic?{query}");
        let answer = stack.client().get(&path).admin().send().await;
        let (_, fields) = problem_of(answer, StatusCode::BAD_REQUEST).await;
        assert_eq!(fields, [field], "{query}");
    }
}
