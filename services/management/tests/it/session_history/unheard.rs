//! Servers of which the history may lack sessions of a moment.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::{at, get};
use crate::database::run;
use crate::ops::enrol;
use crate::stack::Stack;

fn text(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

async fn missing(stack: &Stack, query: &str) -> Value {
    get(stack, &format!("/api/sessions?{query}")).await["missing"].take()
}

#[tokio::test]
async fn a_server_that_was_not_heard_since_before_that_time_is_named() {
    let stack = Stack::start().await;
    for id in ["heard", "away", "never", "new"] {
        enrol(&stack, id).await;
    }
    let away_since = text(at(3_600));
    run(
        &stack.app.db,
        &format!(
            "UPDATE servers SET created_at = now() - interval '9 days' WHERE name <> 'new';
             UPDATE servers SET last_seen = now() WHERE name = 'heard';
             UPDATE servers SET last_seen = '{away_since}' WHERE name = 'away'"
        ),
    )
    .await;
    let away = json!({ "server_id": "away", "reason": format!("not heard from since {away_since}") });
    let never = json!({ "server_id": "never", "reason": "not heard from yet" });

    let later = format!("at={}", text(at(7_200)));
    assert_eq!(missing(&stack, &later).await, json!([away, never]));
    assert_eq!(missing(&stack, &format!("{later}&server_id=away")).await, json!([away]));
    assert_eq!(missing(&stack, &format!("{later}&server_id=heard")).await, json!([]));
    let before = format!("at={}", text(at(1_800)));
    assert_eq!(missing(&stack, &before).await, json!([never]));
    // The last heartbeat of a server that is heard is some seconds old.
    let now = format!("at={}", text(Utc::now()));
    assert_eq!(missing(&stack, &format!("{now}&server_id=heard")).await, json!([]));
}
