//! Values that no user may have are refused with their place.

use poem::http::{Method, StatusCode};
use serde_json::{Value, json};
use vpnmanager_management::domain::audit_action::AuditAction;

use super::{alice, change, create, fleet, send};
use crate::api_groups::refused::longest;
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
        (json!({ "speed": 64 }), "limits.speed", "must be an object"),
        (
            json!({ "speed": { "up": 63 } }),
            "limits.speed.up",
            "from 64 to 10000000",
        ),
        (
            json!({ "reach": [{ "protocol": "sctp" }] }),
            "limits.reach.0.protocol",
            "tcp, udp, icmp",
        ),
        (
            json!({ "reach": vec![json!({}); 33] }),
            "limits.reach",
            "32 items at most, not 33",
        ),
        (
            json!({ "routes": ["10.0.0.0"] }),
            "limits.routes.0",
            "is no prefix such as",
        ),
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
    let contradictory = vec![
        (
            json!({ "traffic": { "bytes": 1, "period": "day", "reset_day": 1 } }),
            "limits.traffic.reset_day",
            "only a month begins on a day of your choice",
        ),
        (
            json!({ "reach": [{ "to": "10.0.0.1/8" }] }),
            "limits.reach.0.to",
            "10.0.0.0/8 is the prefix",
        ),
        (
            json!({ "reach": [{}, { "protocol": "udp", "ports": ["50-60", "53"] }] }),
            "limits.reach.1.ports.1",
            "53 overlaps 50-60",
        ),
        (
            json!({ "routes": ["10.0.0.0/8", "10.1.0.0/16"] }),
            "limits.routes.1",
            "10.1.0.0/16 overlaps 10.0.0.0/8",
        ),
    ];
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
    for limits in [json!(null), json!({ "devices": null }), json!({ "reach": null })] {
        let answer = create(&stack, &json!({ "username": "bob", "limits": limits })).await;
        problem_of(answer, StatusCode::BAD_REQUEST).await;
    }
    let alice = alice(&stack).await;
    assert_eq!((&alice["limits"], &alice["revision"]), (&json!({}), &json!(1)));
    assert!(audited(&stack, AuditAction::UserChanged).await.is_empty());
}

#[tokio::test]
async fn own_values_that_repeat_more_than_nodes_take_are_refused_with_how_many_there_are() {
    let stack = fleet().await;
    let long = send(&stack, Method::PATCH, "/api/groups/default", &longest()).await;
    json_of(long, StatusCode::OK).await;
    let mut made = 0;
    let refused = loop {
        let limits = json!({ "speed": { "down": 64 + made } });
        let user = json!({ "username": format!("user-{made}"), "limits": limits });
        let answer = create(&stack, &user).await;
        if answer.0.status() != StatusCode::CREATED {
            break answer;
        }
        made += 1;
    };

    let (problem, fields) = problem_of(refused, StatusCode::CONFLICT).await;

    assert!(fields.is_empty(), "{problem}");
    // That of the refused user is one more.
    let expected = format!(
        "the rules of all groups together are too long for the nodes, which take 160 KiB as JSON: leave some entries out, here or in another \
         group, or give fewer users own values: the groups that stand for these ({}) repeat what the groups of the users say",
        made + 1
    );
    assert_eq!(problem["detail"], expected);
    assert!((10..=20).contains(&made), "{made}");
    let another = send(&stack, Method::PATCH, "/api/groups/sales", &longest()).await;
    let (problem, _) = problem_of(another, StatusCode::CONFLICT).await;
    let said = problem["detail"].as_str().expect("a detail");
    assert!(said.contains(&format!("stand for these ({made})")), "{said}");
}
