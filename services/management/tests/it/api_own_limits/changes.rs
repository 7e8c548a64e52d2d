//! Own values are given, changed and taken away; the user shows them, and what holds.

use poem::http::{Method, StatusCode};
use serde_json::{Value, json};
use vpnmanager_management::domain::audit_action::AuditAction;

use super::{alice, change, changed, create, fleet, get, send};
use crate::ops::audited;
use crate::stack::json_of;

/// All that a user may have of its own.
fn all() -> Value {
    json!({
        "devices": 5, "sessions": 1, "session_excess": "newest_ends", "traffic": { "bytes": 5_000, "period": "day" },
    })
}

#[tokio::test]
async fn a_user_shows_its_own_values_and_what_holds_with_who_says_so() {
    let stack = fleet().await;
    let body =
        json!({ "username": "alice", "group": "sales", "limits": { "devices": 1, "traffic": { "bytes": 5_000 } } });
    let made = json_of(create(&stack, &body).await, StatusCode::CREATED).await;
    let own = json!({ "devices": 1, "traffic": { "bytes": 5_000, "period": "month", "reset_day": 1 } });
    assert_eq!((&made["limits"], made.get("effective_limits")), (&own, None));

    let shown = alice(&stack).await;
    assert_eq!(shown["limits"], own);
    assert_eq!(
        shown["effective_limits"],
        json!({
            "devices": { "value": 1, "from": "own" },
            "sessions": { "value": 2, "from": "group" },
            "session_excess": { "value": "oldest_ends", "from": "group" },
            "traffic": { "value": { "bytes": 5_000, "period": "month", "reset_day": 1 }, "from": "own" },
        })
    );
    assert_eq!(shown["traffic"]["quota"], 5_000);
    let listed = get(&stack, "/api/users").await;
    let item = &listed["items"][0];
    assert_eq!((&item["limits"], item.get("effective_limits")), (&own, None));

    // Where nobody says anything there is nothing.
    json_of(create(&stack, &json!({ "username": "bob" })).await, StatusCode::CREATED).await;
    let bob = get(&stack, "/api/users/bob").await;
    assert_eq!(bob["limits"], json!({}));
    assert_eq!(
        bob["effective_limits"],
        json!({ "session_excess": { "value": "oldest_ends", "from": "group" } })
    );
}

#[tokio::test]
async fn each_value_is_set_kept_and_taken_away_by_itself() {
    let stack = fleet().await;
    json_of(
        create(&stack, &json!({ "username": "alice", "group": "sales" })).await,
        StatusCode::CREATED,
    )
    .await;
    let of_day = json!({ "bytes": 5_000, "period": "day" });
    for (limits, expected, revision) in [
        (all(), all(), 2),
        // Nothing is another one.
        (all(), all(), 2),
        (json!({}), all(), 2),
        (
            json!({ "sessions": 4, "devices": null }),
            json!({ "sessions": 4, "session_excess": "newest_ends", "traffic": of_day }),
            3,
        ),
        // A quota is replaced as a whole.
        (
            json!({ "session_excess": null, "traffic": { "bytes": 7 } }),
            json!({ "sessions": 4, "traffic": { "bytes": 7, "period": "month", "reset_day": 1 } }),
            4,
        ),
        (json!({ "traffic": null }), json!({ "sessions": 4 }), 5),
        (all(), all(), 6),
        (Value::Null, json!({}), 7),
        (Value::Null, json!({}), 7),
    ] {
        let user = changed(&stack, limits.clone()).await;
        assert_eq!(
            (&user["limits"], &user["revision"]),
            (&expected, &json!(revision)),
            "{limits}"
        );
    }
    let rest = json_of(change(&stack, &json!({ "active": false })).await, StatusCode::OK).await;
    assert_eq!(rest["limits"], json!({}));
}

#[tokio::test]
async fn another_group_or_another_value_of_the_group_leaves_what_is_the_users_own() {
    let stack = fleet().await;
    let body = json!({ "username": "alice", "limits": { "sessions": 1, "session_excess": "newest_ends" } });
    json_of(create(&stack, &body).await, StatusCode::CREATED).await;
    let moved = change(&stack, &json!({ "group": "sales" })).await;
    assert_eq!(json_of(moved, StatusCode::OK).await["limits"], body["limits"]);
    let of_group = json!({ "devices": 7, "sessions": 9 });
    let group = send(&stack, Method::PATCH, "/api/groups/sales", &of_group).await;
    json_of(group, StatusCode::OK).await;
    let holds = alice(&stack).await["effective_limits"].clone();
    assert_eq!(
        (&holds["devices"], &holds["sessions"], &holds["session_excess"]),
        (
            &json!({ "value": 7, "from": "group" }),
            &json!({ "value": 1, "from": "own" }),
            &json!({ "value": "newest_ends", "from": "own" })
        )
    );
}

#[tokio::test]
async fn each_change_is_in_the_trail_with_what_was_before() {
    let stack = fleet().await;
    let body = json!({ "username": "alice", "limits": { "devices": 2 } });
    json_of(create(&stack, &body).await, StatusCode::CREATED).await;
    changed(&stack, all()).await;
    changed(&stack, Value::Null).await;

    let limits = |state: &Option<Value>| state.as_ref().expect("a state")["limits"].clone();
    let created = audited(&stack, AuditAction::UserCreated).await;
    assert_eq!(limits(&created[0].after), json!({ "devices": 2 }));
    let mut own = all();
    // The day on which a month would begin.
    own["traffic"]["reset_day"] = json!(1);
    let trail = audited(&stack, AuditAction::UserChanged).await;
    let told: Vec<_> = trail
        .iter()
        .map(|entry| (limits(&entry.before), limits(&entry.after)))
        .collect();
    assert_eq!(told, [(json!({ "devices": 2 }), own.clone()), (own, json!({}))]);
}
