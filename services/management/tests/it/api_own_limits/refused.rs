//! Values that no user may have are refused with their place.

use poem::http::StatusCode;
use serde_json::{Value, json};
use vpnmanager_management::domain::audit_action::AuditAction;

use super::{alice, change, create, fleet};
use crate::ops::audited;
use crate::stack::{json_of, problem_of};

/// What is wrong with some limits: the limits, the field, a part of the detail.
type Case = (Value, &'static str, &'static str);

/// Limits that have not the form of the description.
fn malformed() -> Vec<Case> {
    vec![
        (json!(5), "limits", "must be an object"),
        (json!({ "devices": 0 }), "limits.devices", "from 1 to 16"),
        (json!({ "devices": 17 }), "limits.devices", "from 1 to 16"),
        (json!({ "devices": "two" }), "limits.devices", "must be an integer"),
        (json!({ "sessions": -1 }), "limits.sessions", "from 1 to 16"),
        (
            json!({ "sessions": 9_223_372_036_854_775_808_u64 }),
            "limits.sessions",
            "from 1 to 16",
        ),
        (
            json!({ "session_excess": "all_end" }),
            "limits.session_excess",
            "oldest_ends, newest_ends",
        ),
        (json!({ "traffic": {} }), "limits.traffic.bytes", ""),
        (
            json!({ "traffic": { "bytes": 0 } }),
            "limits.traffic.bytes",
            "from 1 to 1000000000000000",
        ),
        (
            json!({ "traffic": { "bytes": 1, "period": "year" } }),
            "limits.traffic.period",
            "day, week, month, none",
        ),
        (
            json!({ "traffic": { "bytes": 1, "reset_day": 29 } }),
            "limits.traffic.reset_day",
            "from 1 to 28",
        ),
        // What nodes hold members to is the group's alone.
        (json!({ "speed": { "up": 64 } }), "limits.speed", ""),
        (json!({ "device": 2 }), "limits.device", "did you mean `devices`?"),
    ]
}

#[tokio::test]
async fn each_value_that_no_user_may_have_is_named() {
    let stack = fleet().await;
    json_of(
        create(&stack, &json!({ "username": "alice" })).await,
        StatusCode::CREATED,
    )
    .await;
    let contradictory = vec![(
        json!({ "traffic": { "bytes": 1, "period": "day", "reset_day": 1 } }),
        "limits.traffic.reset_day",
        "only a month begins on a day of your choice",
    )];
    for (status, cases) in [
        (StatusCode::BAD_REQUEST, malformed()),
        (StatusCode::CONFLICT, contradictory),
    ] {
        for (limits, field, detail) in cases {
            let answers = [
                create(&stack, &json!({ "username": "bob", "limits": limits })).await,
                change(&stack, &json!({ "limits": limits })).await,
            ];
            for answer in answers {
                let (problem, fields) = problem_of(answer, status).await;
                assert_eq!(fields, [field], "{limits}: {problem}");
                let said = problem["errors"][0]["detail"].as_str().expect("a detail");
                assert!(said.contains(detail), "{limits}: {said}");
            }
        }
    }
    // To take away is for changes.
    for limits in [json!(null), json!({ "devices": null })] {
        let answer = create(&stack, &json!({ "username": "bob", "limits": limits })).await;
        problem_of(answer, StatusCode::BAD_REQUEST).await;
    }
    let alice = alice(&stack).await;
    assert_eq!((&alice["limits"], &alice["revision"]), (&json!({}), &json!(1)));
    assert!(audited(&stack, AuditAction::UserChanged).await.is_empty());
}
