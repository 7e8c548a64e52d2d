//! Groups reach all nodes, users' groups reach theirs, and nodes say what they have applied.

use std::slice;

use poem::http::{Method, StatusCode};
use serde_json::{Value, json};
use vpnmanager_management::{
    domain::actor::Actor,
    ops::{
        groups::{
            change::{GroupChange, Speeds, change_group},
            create::{NewGroup, create_group},
            remove::remove_group,
        },
        nodes::record_heartbeats::record_heartbeats,
        publications::claim::claim,
        users::{
            change::{UserChange, change_user},
            create::NewUser,
        },
    },
};
use vpnmanager_nats::{
    commands::Command,
    groups::{Group, GroupName, GroupRules, Groups, Reach},
    heartbeats::OpenvpnState,
    ids::{AgentInstance, Revision},
    sync::SyncAnswer,
};

use super::{change, get, make, send};
use crate::{
    database::{number, run},
    ops::{
        nodes::heartbeat,
        sync::{handshake, prompted},
        unpublish,
    },
    stack::{Stack, json_of},
};

fn name(text: &str) -> GroupName {
    text.parse().expect("a name")
}

fn web_servers() -> GroupRules {
    GroupRules {
        reach: Some(vec![Reach {
            to: Some("10.20.0.0/16".parse().expect("a prefix")),
            ..Reach::default()
        }]),
        ..GroupRules::default()
    }
}

fn group(text: &str, rules: GroupRules) -> Group {
    Group {
        name: name(text),
        rules,
        metered: false,
    }
}

#[tokio::test]
async fn the_answer_to_a_handshake_brings_all_groups() {
    let stack = Stack::start().await;
    stack.enrol_in("node-1", "default").await;
    stack.enrol_in("node-2", "elsewhere").await;
    let only = Groups {
        revision: Revision(1),
        groups: vec![group("default", GroupRules::default())],
    };
    assert_eq!(handshake(&stack, "node-1").await.groups, Some(only));

    make(&stack, "sales", json!({ "reach": [{ "to": "10.20.0.0/16" }] })).await;
    make(&stack, "engineering", json!({})).await;
    let all = Groups {
        revision: Revision(3),
        groups: vec![
            group("default", GroupRules::default()),
            group("engineering", GroupRules::default()),
            group("sales", web_servers()),
        ],
    };
    for id in ["node-1", "node-2"] {
        let reply = handshake(&stack, id).await;
        assert!(matches!(reply.answer, SyncAnswer::Ok { .. }), "{reply:?}");
        assert_eq!(reply.groups, Some(all.clone()), "{id}");
    }
    let stranger = handshake(&stack, "node-9").await;
    assert!(matches!(stranger.answer, SyncAnswer::Refused { .. }), "{stranger:?}");
    assert_eq!(stranger.groups, None);
}

/// The nodes that are marked to be asked for a handshake. Afterwards none is.
async fn take_prompted(stack: &Stack) -> Vec<String> {
    let marked = prompted(stack).await;
    run(&stack.app.db, "UPDATE servers SET prompt_since = NULL").await;
    marked
}

#[tokio::test]
async fn a_change_of_what_nodes_are_told_asks_all_of_them_for_a_handshake_and_no_other_does() {
    let stack = Stack::start().await;
    stack.enrol_in("node-1", "default").await;
    stack.enrol_in("node-2", "elsewhere").await;
    // No background task asks them and clears the mark.
    stack.end_tasks().await;
    take_prompted(&stack).await;
    let (app, actor, sales) = (&stack.app, Actor::system(), name("sales"));
    let told = async || number(&app.db, "SELECT revision FROM groups_told").await;
    let (all, none) = (vec!["node-1", "node-2"], Vec::<&str>::new());

    create_group(app, &actor, NewGroup::named(sales.clone()))
        .await
        .expect("created");
    assert_eq!((take_prompted(&stack).await, told().await), (owned(&all), 2));

    let slower = GroupChange {
        speed: Some(Speeds {
            up: Some(64_u32.try_into().expect("a speed")),
            down: None,
        }),
        ..GroupChange::default()
    };
    for (expected, revision) in [(&all, 3), (&none, 3)] {
        let changed = change_group(app, &actor, &sales, slower.clone()).await;
        assert_eq!(changed.expect("changed").group.revision, 2);
        assert_eq!((take_prompted(&stack).await, told().await), (owned(expected), revision));
    }

    // Nodes know nothing of devices.
    let fewer = GroupChange {
        devices: Some(Some(2)),
        ..GroupChange::default()
    };
    let changed = change_group(app, &actor, &sales, fewer).await.expect("changed");
    assert_eq!(changed.group.revision, 3);
    assert_eq!((take_prompted(&stack).await, told().await), (owned(&none), 3));

    remove_group(app, &actor, &sales).await.expect("deleted");
    assert_eq!((take_prompted(&stack).await, told().await), (owned(&all), 4));
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test]
async fn what_a_node_says_it_has_applied_is_shown_beside_what_is_wanted() {
    let stack = Stack::start().await;
    stack.enrol_in("node-1", "default").await;
    stack.enrol_in("node-2", "default").await;
    make(&stack, "sales", json!({})).await;
    let shown = async || get(&stack, "/api/endnodes/node-1").await["groups"].clone();
    let waiting = json!({ "wanted_revision": 2, "applied": false });
    assert_eq!(shown().await, waiting);

    let run_of_agent = AgentInstance::new();
    let says = async |applied: Option<i64>| {
        let mut received = heartbeat("node-1", OpenvpnState::Up);
        received.heartbeat.instance = run_of_agent;
        received.heartbeat.groups = applied.map(Revision);
        record_heartbeats(&stack.app.db, stack.app.config.health, slice::from_ref(&received))
            .await
            .expect("recorded");
    };
    says(None).await;
    assert_eq!(shown().await, waiting);
    says(Some(1)).await;
    let older = json!({ "wanted_revision": 2, "applied_revision": 1, "applied": false });
    assert_eq!(shown().await, older);
    says(Some(2)).await;
    let applied = json!({ "wanted_revision": 2, "applied_revision": 2, "applied": true });
    assert_eq!(shown().await, applied);
    let counts = async || {
        let group = get(&stack, "/api/groups/sales").await;
        ["nodes", "nodes_applied"].map(|count| group[count].clone())
    };
    assert_eq!(counts().await, [2, 1].map(Value::from));

    // Monitoring knows nothing of it, and what the agent said stays.
    let report = send(&stack, Method::POST, "/api/endnodes/node-1/health", &json!({})).await;
    assert_eq!(json_of(report, StatusCode::OK).await["groups"], applied);
    let listed = get(&stack, "/api/endnodes").await;
    assert_eq!(listed["items"][0]["groups"], applied);

    json_of(change(&stack, "default", &json!({ "reach": [] })).await, StatusCode::OK).await;
    let behind = json!({ "wanted_revision": 3, "applied_revision": 2, "applied": false });
    assert_eq!(shown().await, behind);
    assert_eq!(counts().await, [2, 0].map(Value::from));
}

/// The group that the command for each user names.
pub(crate) async fn commands(stack: &Stack) -> Vec<(String, Option<GroupName>)> {
    unpublish(stack).await;
    let claims = claim(&stack.app.db).await.expect("claimed");
    let mut found: Vec<(String, Option<GroupName>)> = claims
        .into_iter()
        .map(|claim| match claim.publication.command.body {
            Command::PutUser(put) => (put.username.to_string(), put.group),
            Command::RemoveUser(remove) => panic!("{remove:?}"),
        })
        .collect();
    found.sort();
    found
}

#[tokio::test]
async fn a_command_names_the_group_of_its_user_unless_that_is_default() {
    let stack = Stack::start().await;
    stack.enrol_in("node-1", "default").await;
    let (app, actor) = (&stack.app, Actor::system());
    let filtered = NewGroup {
        rules: web_servers(),
        ..NewGroup::named(name("sales"))
    };
    for new in [filtered, NewGroup::named(name("free"))] {
        create_group(app, &actor, new).await.expect("created");
    }
    for (username, group) in [("alice", "default"), ("bob", "sales")] {
        let new = NewUser {
            group: name(group),
            ..NewUser::named(username.parse().expect("a username"), actor.clone())
        };
        app.creates.submit(new).await.expect("created");
    }
    // Only the test claims placements.
    stack.end_tasks().await;
    let said = |username: &str, group: Option<&str>| (username.to_owned(), group.map(name));
    assert_eq!(
        commands(&stack).await,
        [said("alice", None), said("bob", Some("sales"))]
    );

    // Whichever it is, she may do less in it than in the one before: nodes hear of it before others.
    let urgent = async || {
        number(
            &app.db,
            "SELECT count(*) FROM placements WHERE urgent_since IS NOT NULL",
        )
        .await
    };
    for (username, group) in [("bob", "default"), ("bob", "free"), ("alice", "sales")] {
        let change = UserChange {
            group: Some(name(group)),
            ..UserChange::default()
        };
        let username = username.parse().expect("a username");
        run(&app.db, "UPDATE placements SET urgent_since = NULL").await;
        change_user(app, &actor, &username, change).await.expect("changed");
        assert_eq!(urgent().await, 1, "{username} into {group}");
    }
    assert_eq!(
        commands(&stack).await,
        [said("alice", Some("sales")), said("bob", Some("free"))]
    );
}
