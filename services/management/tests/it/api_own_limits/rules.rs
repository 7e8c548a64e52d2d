//! Own reach, routes and speed: for nodes alone such a user is in a group that stands for its own values.

use poem::http::StatusCode;
use serde_json::{Value, json};
use vpnmanager_management::{
    domain::{actor::Actor, audit_action::AuditAction, own_rules::OwnRulesChange},
    ops::users::change::{UserChange, change_user},
};

use super::{alice, as_rules, change, change_group, changed, down, fleet, get, make, rules_of, told};
use crate::{
    api_groups::told::commands,
    database::{number, run},
    ops::audited,
    stack::{Stack, json_of},
};

/// The group that the command for each user names.
async fn named(stack: &Stack) -> Vec<(String, Option<String>)> {
    let commands = commands(stack).await.into_iter();
    let named = commands.map(|(username, group)| (username, group.map(|group| group.to_string())));
    named.collect()
}

#[tokio::test]
async fn users_of_a_group_with_the_same_own_rules_share_a_group_for_nodes_with_what_holds() {
    let stack = fleet().await;
    let of_group = json!({ "reach": [{ "to": "10.20.0.0/16" }], "speed": { "up": 1_000, "down": 2_000 } });
    change_group(&stack, "sales", &of_group).await;
    let slow = json!({ "speed": { "down": 64 } });
    let alices = make(&stack, "alice", json!({ "group": "sales", "limits": slow })).await;
    let bobs = make(&stack, "bob", json!({ "group": "sales", "limits": slow })).await;
    let carols = make(&stack, "carol", json!({ "limits": slow })).await;
    make(&stack, "dave", json!({ "group": "sales", "limits": { "sessions": 1 } })).await;

    assert_eq!((&alices["group"], &alices["limits"]), (&json!("sales"), &slow));
    assert_eq!(alices["node_group"], bobs["node_group"]);
    assert_ne!(alices["node_group"], carols["node_group"]);
    let expected = as_rules(json!({ "reach": [{ "to": "10.20.0.0/16" }], "up": 1_000, "down": 64 }));
    assert_eq!(rules_of(&stack, &alices).await, expected);
    assert_eq!(rules_of(&stack, &carols).await, as_rules(json!({ "down": 64 })));
    let (revision, groups) = told(&stack).await;
    // The group sales, its change, and two for own rules.
    assert_eq!((revision, groups.len()), (5, 4));
    assert!(groups.is_sorted_by(|one, other| one.name < other.name), "{groups:?}");
    let metered = |user: &Value| {
        let mut groups = groups.iter();
        groups.any(|group| group.metered && user["node_group"] == group.name.as_str())
    };
    assert!(metered(&alices) && !metered(&carols), "{groups:?}");
    let holds = alice(&stack).await["effective_limits"].clone();
    assert_eq!(
        holds["reach"],
        json!({ "value": [{ "to": "10.20.0.0/16", "ports": [] }], "from": "group" })
    );
    assert_eq!(
        holds["speed"],
        json!({ "up": { "value": 1_000, "from": "group" }, "down": { "value": 64, "from": "own" } })
    );
    assert_eq!(holds.get("routes"), None);
    let daves = get(&stack, "/api/users/dave").await;
    assert_eq!(daves.get("node_group"), None);

    stack.end_tasks().await;
    let group = |user: &Value| user["node_group"].as_str().map(str::to_owned);
    assert_eq!(
        named(&stack).await,
        [
            ("alice".to_owned(), group(&alices)),
            ("bob".to_owned(), group(&bobs)),
            ("carol".to_owned(), group(&carols)),
            ("dave".to_owned(), Some("sales".to_owned())),
        ]
    );
}

#[tokio::test]
async fn own_rules_are_set_kept_and_taken_away_each_by_itself() {
    let stack = fleet().await;
    make(&stack, "alice", json!({})).await;
    let reach = json!([{ "to": "10.20.0.0/16", "protocol": "tcp", "ports": ["443"] }]);
    let all = json!({ "reach": reach, "routes": ["10.30.0.0/16"], "speed": { "up": 64, "down": 128 } });
    for (limits, expected, revision) in [
        (all.clone(), all.clone(), 2),
        // Nothing is another one.
        (all.clone(), all.clone(), 2),
        (json!({}), all.clone(), 2),
        // A list and the speed are replaced as a whole.
        (
            json!({ "reach": [], "speed": { "down": 256 } }),
            json!({ "reach": [], "routes": ["10.30.0.0/16"], "speed": { "down": 256 } }),
            3,
        ),
        (
            json!({ "routes": [], "reach": null }),
            json!({ "routes": [], "speed": { "down": 256 } }),
            4,
        ),
        (json!({ "speed": null }), json!({ "routes": [] }), 5),
        (Value::Null, json!({}), 6),
        (Value::Null, json!({}), 6),
    ] {
        let user = changed(&stack, limits.clone()).await;
        assert_eq!(
            (&user["limits"], &user["revision"]),
            (&expected, &json!(revision)),
            "{limits}"
        );
        assert_eq!(user.get("node_group").is_some(), expected != json!({}), "{limits}");
    }
    let trail = audited(&stack, AuditAction::UserChanged).await;
    let first = trail[0].after.as_ref().expect("a state");
    assert_eq!(first["limits"], all);
}

/// What the old ones allowed may not be allowed any more.
#[tokio::test]
async fn other_own_rules_are_told_to_nodes_at_once() {
    let stack = fleet().await;
    make(&stack, "alice", json!({})).await;
    stack.end_tasks().await;
    let (app, username) = (&stack.app, "alice".parse().expect("a username"));
    for (rules, expected) in [(down(64), 1), (down(64), 0), (OwnRulesChange::NONE_LEFT, 1)] {
        run(&app.db, "UPDATE placements SET urgent_since = NULL").await;
        let change = UserChange {
            rules,
            ..UserChange::default()
        };
        let changed = change_user(app, &Actor::system(), &username, change.clone()).await;
        changed.expect("changed");
        let urgent = "SELECT count(*) FROM placements WHERE urgent_since IS NOT NULL";
        assert_eq!(number(&app.db, urgent).await, expected, "{change:?}");
    }
}

#[tokio::test]
async fn another_group_and_other_rules_of_the_group_come_below_own_rules() {
    let stack = fleet().await;
    let made = make(&stack, "alice", json!({ "limits": { "speed": { "down": 64 } } })).await;
    let (before, _) = told(&stack).await;

    change_group(&stack, "default", &json!({ "speed": { "up": 128, "down": 256 } })).await;

    assert_eq!(told(&stack).await.0, before + 1);
    let expected = as_rules(json!({ "up": 128, "down": 64 }));
    assert_eq!(rules_of(&stack, &made).await, expected);
    assert_eq!(alice(&stack).await["revision"], 1, "no user is touched");

    let moved = json_of(change(&stack, &json!({ "group": "sales" })).await, StatusCode::OK).await;

    assert_eq!(
        (&moved["group"], &moved["limits"], &moved["revision"]),
        (&json!("sales"), &made["limits"], &json!(2))
    );
    assert_ne!(moved["node_group"], made["node_group"]);
    assert_eq!(rules_of(&stack, &moved).await, as_rules(json!({ "down": 64 })));

    let bare = changed(&stack, json!({ "speed": null })).await;

    assert_eq!((bare.get("node_group"), &bare["revision"]), (None, &json!(3)));
    stack.end_tasks().await;
    assert_eq!(named(&stack).await, [("alice".to_owned(), Some("sales".to_owned()))]);
}

/// Logs and faults of nodes name the group.
#[tokio::test]
async fn the_list_and_the_trail_say_whom_nodes_know_in_a_group() {
    let stack = fleet().await;
    let slow = json!({ "limits": { "speed": { "down": 64 } } });
    let made = make(&stack, "alice", slow.clone()).await;
    make(&stack, "bob", slow).await;
    make(&stack, "carol", json!({ "limits": { "speed": { "down": 128 } } })).await;
    make(&stack, "dave", json!({})).await;
    let name = made["node_group"].as_str().expect("a group for nodes");

    let listed = get(&stack, &format!("/api/users?node_group={name}")).await;

    let listed = listed["items"].as_array().expect("items").iter();
    let listed: Vec<&Value> = listed.map(|user| &user["username"]).collect();
    assert_eq!(listed, ["alice", "bob"]);
    let trail = audited(&stack, AuditAction::UserCreated).await;
    let states: Vec<&Value> = trail.iter().filter_map(|entry| entry.after.as_ref()).collect();
    let of_whom = |group: Option<&str>| {
        let has_it = |state: &&&Value| state.get("node_group").and_then(Value::as_str) == group;
        states
            .iter()
            .filter(has_it)
            .map(|state| &state["username"])
            .collect::<Vec<_>>()
    };
    assert_eq!(of_whom(Some(name)), ["alice", "bob"]);
    assert_eq!(of_whom(None), ["dave"]);
}
