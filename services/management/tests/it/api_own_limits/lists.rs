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
    let limits = json!({ "devices": 2, "session_excess": "newest_ends", "traffic": { "bytes": 1_000, "period": "week" },
            "reach": [{ "to": "10.20.0.0/16", "ports": [] }], "routes": ["10.30.0.0/16"], "speed": { "up": 64 } });
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
    let ports: Vec<String> = (1..=17).map(|port| port.to_string()).collect();
    let answer = batch(
        &stack,
        json!([
            { "action": "create", "username": "alice", "limits": { "devices": 17 } },
            { "action": "create", "username": "bob", "limits": { "session_excess": "all_end" } },
            { "action": "create", "username": "carol", "limits": { "traffic": { "bytes": 0 } } },
            { "action": "create", "username": "dave", "limits": { "traffic": { "bytes": 1, "period": "day", "reset_day": 1 } } },
            { "action": "remove", "username": "erin", "limits": { "sessions": null } },
            { "action": "create", "username": "frank", "limits": { "devices": 16 } },
            { "action": "create", "username": "gina", "limits": { "speed": { "up": 63 } } },
            { "action": "create", "username": "hans", "limits": { "routes": ["10.0.0.0/8", "10.1.0.0/16"] } },
            { "action": "create", "username": "ida", "limits": { "reach": [{ "protocol": "sctp" }] } },
            { "action": "create", "username": "jan", "limits": { "reach": [{}, { "protocol": "tcp", "ports": ports }] } },
            { "action": "create", "username": "kim", "limits": { "reach": vec![json!({}); 33] } },
        ]),
    )
    .await;
    assert_eq!(counts(&answer), [1, 0, 0, 0, 10], "{answer}");
    for (index, status, field) in [
        (0, 400, "limits.devices"),
        (1, 400, "limits.session_excess"),
        (2, 400, "limits.traffic.bytes"),
        (3, 409, "limits.traffic.reset_day"),
        (4, 400, "limits.sessions"),
        (6, 400, "limits.speed.up"),
        (7, 409, "limits.routes.1"),
        (8, 400, "limits.reach.0.protocol"),
        (9, 400, "limits.reach.1.ports"),
        (10, 400, "limits.reach"),
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
                limits.traffic.reset_day,limits.speed.up,limits.speed.down\n\
                alice,sales,2,1,newest_ends,1000,month,15,64,128\n\
                bob,sales,,,,5000,day,,,\n\
                carol,,,,,,,,,\n";
    assert_eq!(counts(&import(&old, text).await), [3, 0, 0, 0, 0]);
    let of_alice = json!({
        "devices": 2, "sessions": 1, "session_excess": "newest_ends",
        "traffic": { "bytes": 1_000, "period": "month", "reset_day": 15 }, "speed": { "up": 64, "down": 128 },
    });
    assert_eq!(limits_of(&old, "alice").await, of_alice);

    let exported = export(&old, "").await;
    for line in [
        "alice,true,never,node-1,sales,2,1,newest_ends,1000,month,15,64,128,,false,",
        "bob,true,never,node-1,sales,,,,5000,day,,,,,false,",
        "carol,true,never,node-1,default,,,,,,,,,,false,",
    ] {
        assert!(exported.lines().any(|found| found.starts_with(line)), "{exported}");
    }
    assert_eq!(counts(&import(&new, &exported).await), [3, 0, 0, 0, 0]);
    for name in ["alice", "bob", "carol"] {
        assert_eq!(limits_of(&new, name).await, limits_of(&old, name).await, "{name}");
    }
    assert_eq!(counts(&import(&old, &exported).await), [0, 0, 0, 3, 0]);

    let text = "username,action,limits.devices,limits.traffic.bytes,limits.traffic.period,limits.speed.up\n\
                alice,change,group,group,,group\n\
                bob,change,17,,,\n\
                carol,change,,,week,\n";
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
    let expected = json!({ "sessions": 1, "session_excess": "newest_ends", "speed": { "down": 128 } });
    assert_eq!(limits_of(&old, "alice").await, expected);
}

/// Where they are created without them they reach what others of their group do.
#[tokio::test]
async fn a_file_says_who_has_own_reach_or_routes_and_creates_none_of_them() {
    let (old, new) = (fleet().await, fleet().await);
    let items = json!([
        { "action": "create", "username": "alice", "limits": { "reach": [], "speed": { "up": 64 } } },
        { "action": "create", "username": "bob", "limits": { "routes": [] } },
        { "action": "create", "username": "carol" },
    ]);
    assert_eq!(counts(&batch(&old, items).await), [3, 0, 0, 0, 0]);

    let exported = export(&old, "").await;

    for line in [
        "alice,true,never,node-1,default,,,,,,,64,,own,false,",
        "bob,true,never,node-1,default,,,,,,,,,own,false,",
        "carol,true,never,node-1,default,,,,,,,,,,false,",
    ] {
        assert!(exported.lines().any(|found| found.starts_with(line)), "{exported}");
    }
    let answer = import(&new, &exported).await;
    assert_eq!(counts(&answer), [1, 0, 0, 0, 2], "{answer}");
    let failures = answer["failures"].as_array().expect("failures");
    let refused = json!([409, "limits.reach_and_routes"]);
    for failure in failures {
        assert_eq!(json!([failure["status"], failure["error"]["field"]]), refused);
    }
    assert_eq!(limits_of(&new, "carol").await, json!({}));

    // A change leaves them as they are.
    let text = "username,action,limits.reach_and_routes,limits.speed.up\n\
                alice,change,own,128\n\
                bob,change,group,\n\
                carol,change,own,\n\
                dave,remove,own,\n";
    let answer = import(&old, text).await;
    assert_eq!(counts(&answer), [0, 1, 0, 1, 2], "{answer}");
    for (failure, line) in [(0, 3), (1, 5)] {
        let failure = &answer["failures"][failure];
        assert_eq!(
            json!([failure["line"], failure["status"], failure["error"]["field"]]),
            json!([line, 400, "limits.reach_and_routes"])
        );
    }
    assert_eq!(
        limits_of(&old, "alice").await,
        json!({ "reach": [], "speed": { "up": 128 } })
    );
}
