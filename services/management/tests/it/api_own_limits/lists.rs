//! Own values of many users: in a batch, and as CSV, in and out.

use serde_json::{Value, json};

use super::{fleet, get};
use crate::api_bulk::{batch, counts, export, import};
use crate::stack::Stack;

async fn limits_of(stack: &Stack, username: &str) -> Value {
    get(stack, &format!("/api/users/{username}")).await["limits"].clone()
}

#[tokio::test]
async fn a_batch_gives_and_takes_own_values_and_may_be_sent_again() {
    let stack = fleet().await;
    let limits =
        json!({ "devices": 2, "session_excess": "newest_ends", "traffic": { "bytes": 1_000, "period": "week" } });
    let items = json!([
        { "action": "create", "username": "alice", "limits": limits },
        { "action": "create", "username": "bob", "limits": { "sessions": 1 } },
        { "action": "create", "username": "carol", "limits": null },
    ]);
    assert_eq!(counts(&batch(&stack, items.clone()).await), [3, 0, 0, 0, 0]);
    assert_eq!(limits_of(&stack, "alice").await, limits);
    assert_eq!(limits_of(&stack, "carol").await, json!({}));
    assert_eq!(counts(&batch(&stack, items).await), [0, 0, 0, 3, 0]);
    // Who is there with other values is another one than is wanted.
    let other = json!([{ "action": "create", "username": "alice" }]);
    let other = batch(&stack, other).await;
    assert_eq!(
        (&other["results"][0]["status"], counts(&other)),
        (&json!(409), [0, 0, 0, 0, 1])
    );

    let items = json!([
        { "action": "change", "username": "alice", "limits": { "devices": null, "sessions": 3 } },
        { "action": "change", "username": "bob", "limits": null },
        { "action": "change", "username": "carol", "limits": {} },
    ]);
    let changed = batch(&stack, items.clone()).await;
    assert_eq!(counts(&changed), [0, 2, 0, 1, 0], "{changed}");
    assert_eq!(counts(&batch(&stack, items).await), [0, 0, 0, 3, 0]);
    let mut expected = limits;
    expected.as_object_mut().expect("an object").remove("devices");
    expected["sessions"] = json!(3);
    assert_eq!(limits_of(&stack, "alice").await, expected);
    assert_eq!(limits_of(&stack, "bob").await, json!({}));
}

#[tokio::test]
async fn a_value_that_is_not_good_fails_its_item_and_no_other_one() {
    let stack = fleet().await;
    let answer = batch(
        &stack,
        json!([
            { "action": "create", "username": "alice", "limits": { "devices": 17 } },
            { "action": "create", "username": "bob", "limits": { "session_excess": "all_end" } },
            { "action": "create", "username": "carol", "limits": { "traffic": { "bytes": 0 } } },
            { "action": "create", "username": "dave", "limits": { "traffic": { "bytes": 1, "period": "day", "reset_day": 1 } } },
            { "action": "remove", "username": "erin", "limits": { "sessions": null } },
            { "action": "create", "username": "frank", "limits": { "devices": 16 } },
        ]),
    )
    .await;
    assert_eq!(counts(&answer), [1, 0, 0, 0, 5], "{answer}");
    for (index, status, field) in [
        (0, 400, "limits.devices"),
        (1, 400, "limits.session_excess"),
        (2, 400, "limits.traffic.bytes"),
        (3, 409, "limits.traffic.reset_day"),
        (4, 400, "limits.sessions"),
    ] {
        let result = &answer["results"][index];
        assert_eq!(
            (&result["status"], &result["error"]["field"]),
            (&json!(status), &json!(field))
        );
    }
}

#[tokio::test]
async fn a_file_gives_and_takes_own_values_and_what_is_exported_gives_the_same() {
    let (old, new) = (fleet().await, fleet().await);
    let text = "username,group,limits.devices,limits.sessions,limits.session_excess,limits.traffic.bytes,limits.traffic.period,\
                limits.traffic.reset_day\n\
                alice,sales,2,1,newest_ends,1000,month,15\n\
                bob,sales,,,,5000,day,\n\
                carol,,,,,,,\n";
    assert_eq!(counts(&import(&old, text).await), [3, 0, 0, 0, 0]);
    let of_alice = json!({
        "devices": 2, "sessions": 1, "session_excess": "newest_ends",
        "traffic": { "bytes": 1_000, "period": "month", "reset_day": 15 },
    });
    assert_eq!(limits_of(&old, "alice").await, of_alice);

    let exported = export(&old, "").await;
    for line in [
        "alice,true,never,node-1,sales,2,1,newest_ends,1000,month,15,false,",
        "bob,true,never,node-1,sales,,,,5000,day,,false,",
        "carol,true,never,node-1,default,,,,,,,false,",
    ] {
        assert!(exported.lines().any(|found| found.starts_with(line)), "{exported}");
    }
    assert_eq!(counts(&import(&new, &exported).await), [3, 0, 0, 0, 0]);
    for name in ["alice", "bob", "carol"] {
        assert_eq!(limits_of(&new, name).await, limits_of(&old, name).await, "{name}");
    }
    assert_eq!(counts(&import(&old, &exported).await), [0, 0, 0, 3, 0]);

    let text = "username,action,limits.devices,limits.traffic.bytes,limits.traffic.period\n\
                alice,change,group,group,\n\
                bob,change,17,,\n\
                carol,change,,,week\n";
    let answer = import(&old, text).await;
    assert_eq!(counts(&answer), [0, 1, 0, 0, 2], "{answer}");
    let failures = answer["failures"].as_array().expect("failures").iter();
    let failures: Vec<_> = failures
        .map(|failure| (failure["line"].clone(), failure["error"]["field"].clone()))
        .collect();
    assert_eq!(
        failures,
        [
            (json!(3), json!("limits.devices")),
            (json!(4), json!("limits.traffic.bytes"))
        ]
    );
    let expected = json!({ "sessions": 1, "session_excess": "newest_ends" });
    assert_eq!(limits_of(&old, "alice").await, expected);
}
