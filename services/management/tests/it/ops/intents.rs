//! Requests of local APIs: what an operator asked a node to do.

use std::sync::Arc;

use chrono::{TimeDelta, Utc};
use sea_orm::{ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, TransactionTrait};
use vpnmanager_entities::{audit_log, intent};
use vpnmanager_management::{
    app::App,
    config::{Config, NodeConfig},
    domain::audit_action::AuditAction,
    ops::{
        housekeeping::{Kept, delete_old_rows},
        users::accept_intent::accept,
    },
};
use vpnmanager_nats::{
    ids::{IntentId, UserKey},
    intents::{Intent, IntentAction, IntentAnswer, IntentRefusal},
};
use vpnmanager_testbed::wait;

use super::{audited, create, enrol, node, view};
use crate::database::run;
use crate::stack::Stack;

fn intent(action: IntentAction) -> Intent {
    Intent {
        id: IntentId::new(),
        node: node("node-1"),
        requested_at: Utc::now(),
        source: None,
        local: false,
        action,
    }
}

fn create_alice() -> Intent {
    intent(IntentAction::CreateUser {
        username: "alice".parse().expect("valid"),
        expires_at: None,
    })
}

fn refusal(answer: &IntentAnswer) -> IntentRefusal {
    match answer {
        IntentAnswer::Refused { reason, .. } => *reason,
        IntentAnswer::Accepted { .. } | IntentAnswer::Unavailable => panic!("{answer:?}"),
    }
}

#[tokio::test]
async fn an_intent_that_is_sent_again_is_carried_out_once() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let intent = create_alice();

    let answer = accept(&stack.app, &intent).await.expect("answered");
    assert!(matches!(answer, IntentAnswer::Accepted { .. }), "{answer:?}");
    assert_eq!(accept(&stack.app, &intent).await.expect("answered"), answer);

    let created = audit_log::Entity::find().filter(audit_log::COLUMN.action.eq("user_created"));
    assert_eq!(created.count(&stack.app.db).await.expect("counted"), 1);
    let alice = view(&stack, "alice").await.expect("there");
    assert_eq!(
        (alice.user.server_id.as_str(), alice.user.created_by.as_str()),
        ("node-1", "node:node-1")
    );
}

#[tokio::test]
async fn what_root_asks_at_the_socket_of_a_node_is_told_as_such_and_counts_for_the_node() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let asked = Intent {
        local: true,
        ..create_alice()
    };
    accept(&stack.app, &asked).await.expect("answered");
    let told = audited(&stack, AuditAction::UserCreated).await;
    assert_eq!(told[0].actor, "local:node-1");
    let alice = view(&stack, "alice").await.expect("there");
    assert_eq!(
        alice.user.created_by, "node:node-1",
        "a node gets no more users by saying so"
    );
}

#[tokio::test]
async fn a_node_that_was_lost_and_is_back_may_create_users_before_it_is_in_sync() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    run(&stack.app.db, "UPDATE servers SET state = 'lost', lost_since = now()").await;

    let answer = accept(&stack.app, &create_alice()).await.expect("answered");

    assert!(matches!(answer, IntentAnswer::Accepted { .. }), "{answer:?}");
    assert_eq!(
        view(&stack, "alice").await.expect("there").user.server_id,
        node("node-1")
    );
}

#[tokio::test]
async fn what_a_node_creates_is_in_default_and_keeps_what_that_group_says() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    run(&stack.app.db, "UPDATE groups SET pool = 'sales', lifetime = 3600").await;

    let answer = accept(&stack.app, &create_alice()).await.expect("answered");
    assert_eq!(refusal(&answer), IntentRefusal::NodeUnavailable);
    let IntentAnswer::Refused { detail, .. } = answer else {
        unreachable!("it is a refusal");
    };
    assert_eq!(
        detail,
        "the group default places its members in the pool sales, and the server node-1 is in another one"
    );

    run(&stack.app.db, "UPDATE groups SET pool = 'default'").await;
    let answer = accept(&stack.app, &create_alice()).await.expect("answered");
    assert!(matches!(answer, IntentAnswer::Accepted { .. }), "{answer:?}");
    let alice = view(&stack, "alice").await.expect("there").user;
    assert!(alice.group_name.is_default());
    assert_eq!(alice.expires_at, Some(alice.created_at + TimeDelta::hours(1)));
}

#[tokio::test]
async fn the_answer_to_one_node_is_not_told_to_another_one() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    enrol(&stack, "node-2").await;
    let asked = create_alice();
    let answer = accept(&stack.app, &asked).await.expect("answered");

    let stolen = Intent {
        node: node("node-2"),
        action: IntentAction::CreateUser {
            username: "mallory".parse().expect("valid"),
            expires_at: None,
        },
        ..asked.clone()
    };
    let other = accept(&stack.app, &stolen).await.expect("answered");

    assert_eq!(other, IntentAnswer::Unavailable);
    assert!(view(&stack, "mallory").await.is_none());
    assert_eq!(accept(&stack.app, &asked).await.expect("answered"), answer);
}

#[tokio::test]
async fn what_contradicts_the_database_is_refused_with_the_reason() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    create(&stack, "alice").await;
    assert_eq!(
        refusal(&accept(&stack.app, &create_alice()).await.expect("answered")),
        IntentRefusal::UsernameTaken
    );

    let expired = intent(IntentAction::CreateUser {
        username: "bob".parse().expect("valid"),
        expires_at: Some(Utc::now() - TimeDelta::seconds(1)),
    });
    assert_eq!(
        refusal(&accept(&stack.app, &expired).await.expect("answered")),
        IntentRefusal::Expiry
    );

    let remove = intent(IntentAction::RemoveUser {
        user_key: UserKey::new(),
        username: "carol".parse().expect("valid"),
    });
    assert_eq!(
        refusal(&accept(&stack.app, &remove).await.expect("answered")),
        IntentRefusal::UnknownUser
    );
    // A repeated request is refused again, but not recorded again.
    accept(&stack.app, &remove).await.expect("answered");
    let refused = audit_log::Entity::find().filter(audit_log::COLUMN.action.eq("local_request_refused"));
    assert_eq!(refused.count(&stack.app.db).await.expect("counted"), 3);
}

#[tokio::test]
async fn a_removal_means_the_user_that_the_node_knew_and_not_one_created_since() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let alice = create(&stack, "alice").await;
    let remove = |key| {
        intent(IntentAction::RemoveUser {
            user_key: key,
            username: "alice".parse().expect("valid"),
        })
    };
    accept(&stack.app, &remove(alice.user.key)).await.expect("answered");
    assert!(view(&stack, "alice").await.is_none());

    create(&stack, "alice").await;
    let late = accept(&stack.app, &remove(alice.user.key)).await.expect("answered");
    assert_eq!(refusal(&late), IntentRefusal::UnknownUser);
    assert!(view(&stack, "alice").await.is_some());
}

fn create_named(username: &str) -> Intent {
    intent(IntentAction::CreateUser {
        username: username.parse().expect("valid"),
        expires_at: None,
    })
}

fn remove(user_key: UserKey) -> Intent {
    intent(IntentAction::RemoveUser {
        user_key,
        username: "alice".parse().expect("valid"),
    })
}

fn detail(answer: &IntentAnswer) -> &str {
    match answer {
        IntentAnswer::Refused { detail, .. } => detail,
        IntentAnswer::Accepted { .. } | IntentAnswer::Unavailable => panic!("{answer:?}"),
    }
}

/// The same management, where a node may create so many users.
fn with_most_users(stack: &Stack, max_users: u32) -> App {
    let config = Config {
        node: NodeConfig { max_users },
        ..(*stack.app.config).clone()
    };
    App {
        config: Arc::new(config),
        ..stack.app.clone()
    }
}

async fn recorded(stack: &Stack) -> u64 {
    intent::Entity::find().count(&stack.app.db).await.expect("counted")
}

#[tokio::test]
async fn a_node_creates_so_many_users_and_no_more_until_one_is_removed() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    enrol(&stack, "node-2").await;
    create(&stack, "by-an-operator").await;
    let app = with_most_users(&stack, 2);
    for name in ["alice", "bob"] {
        let answer = accept(&app, &create_named(name)).await.expect("answered");
        assert!(matches!(answer, IntentAnswer::Accepted { .. }), "{answer:?}");
    }
    let one_more = create_named("carol");
    for _ in 0..3 {
        let answer = accept(&app, &one_more).await.expect("answered");
        assert_eq!(refusal(&answer), IntentRefusal::NodeUnavailable);
        assert!(detail(&answer).contains("NODE_MAX_USERS"), "{answer:?}");
    }
    assert!(view(&stack, "carol").await.is_none());
    assert_eq!(audited(&stack, AuditAction::LocalRequestRefused).await.len(), 1);

    let of_another = Intent {
        node: node("node-2"),
        ..create_named("dave")
    };
    let answer = accept(&app, &of_another).await.expect("answered");
    assert!(matches!(answer, IntentAnswer::Accepted { .. }), "{answer:?}");

    let alice = view(&stack, "alice").await.expect("there");
    accept(&app, &remove(alice.user.key)).await.expect("answered");
    let answer = accept(&app, &create_named("carol")).await.expect("answered");
    assert!(matches!(answer, IntentAnswer::Accepted { .. }), "{answer:?}");
    let none = accept(&with_most_users(&stack, 0), &create_named("erin")).await;
    assert_eq!(refusal(&none.expect("answered")), IntentRefusal::NodeUnavailable);
}

#[tokio::test]
async fn a_node_creates_users_in_its_own_pool_and_removes_only_those_that_it_holds() {
    let stack = Stack::start().await;
    for id in ["node-1", "node-2", "node-3", "node-4"] {
        enrol(&stack, id).await;
    }
    run(
        &stack.app.db,
        "UPDATE servers SET pool = 'other' WHERE name IN ('node-1', 'node-2')",
    )
    .await;
    let theirs = create(&stack, "theirs").await;
    let answer = accept(&stack.app, &create_alice()).await.expect("answered");
    assert!(matches!(answer, IntentAnswer::Accepted { .. }), "{answer:?}");
    let alice = view(&stack, "alice").await.expect("there");
    let mut nodes: Vec<&str> = alice
        .placements
        .iter()
        .map(|placement| placement.server_id.as_str())
        .collect();
    nodes.sort_unstable();
    assert_eq!(nodes, ["node-1", "node-2"]);

    // Nor one who was taken off the node, and whom it has not removed yet, or never will.
    let taken_off = "UPDATE placements SET wanted_present = false WHERE server_id = 'node-1'";
    run(&stack.app.db, taken_off).await;
    for user in [theirs.user.key, alice.user.key] {
        let answer = accept(&stack.app, &remove(user)).await.expect("answered");
        assert_eq!(refusal(&answer), IntentRefusal::UnknownUser);
    }
    for username in ["theirs", "alice"] {
        assert!(view(&stack, username).await.is_some());
    }
}

#[tokio::test]
async fn a_flood_of_requests_is_recorded_so_far_and_removals_still_happen() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let alice = create(&stack, "alice").await;
    run(
        &stack.app.db,
        "INSERT INTO intents (id, server_id, answer) SELECT gen_random_uuid(), 'node-1', '{}' FROM generate_series(1, 2000)",
    )
    .await;
    let before = recorded(&stack).await;
    for number in 0..5 {
        let answer = accept(&stack.app, &create_named(&format!("user{number}"))).await;
        assert!(detail(&answer.expect("answered")).contains("in the last day"));
    }
    let answer = accept(&stack.app, &remove(UserKey::new())).await.expect("answered");
    assert_eq!(refusal(&answer), IntentRefusal::UnknownUser);
    let answer = accept(&stack.app, &remove(alice.user.key)).await.expect("answered");
    assert!(matches!(answer, IntentAnswer::Accepted { .. }), "{answer:?}");
    assert!(view(&stack, "alice").await.is_none());
    assert_eq!(recorded(&stack).await, before);
    assert!(audited(&stack, AuditAction::LocalRequestRefused).await.is_empty());

    run(
        &stack.app.db,
        "UPDATE intents SET created_at = now() - interval '25 hours'",
    )
    .await;
    let answer = accept(&stack.app, &create_named("bob")).await.expect("answered");
    assert!(matches!(answer, IntentAnswer::Accepted { .. }), "{answer:?}");
}

#[tokio::test]
async fn one_request_of_a_node_is_carried_out_at_a_time_and_others_do_not_wait_for_it() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    enrol(&stack, "node-2").await;
    let busy = stack.app.db.begin().await.expect("a transaction");
    let lock = format!("SELECT pg_advisory_xact_lock({}, hashtext('node-1'))", 0x696e_7465);
    busy.execute_unprepared(&lock).await.expect("locked");
    let intent = create_alice();
    let answer = accept(&stack.app, &intent).await.expect("answered");
    assert_eq!(answer, IntentAnswer::Unavailable);
    let of_another = Intent {
        node: node("node-2"),
        ..create_named("bob")
    };
    let answer = accept(&stack.app, &of_another).await.expect("answered");
    assert!(matches!(answer, IntentAnswer::Accepted { .. }), "{answer:?}");
    busy.rollback().await.expect("ended");
    let answer = accept(&stack.app, &intent).await.expect("answered");
    assert!(matches!(answer, IntentAnswer::Accepted { .. }), "{answer:?}");
}

#[tokio::test]
async fn answers_are_forgotten_after_a_week_and_not_before() {
    let stack = Stack::start().await;
    let insert = async |count: u32, age: &str| {
        let statement = format!(
            "INSERT INTO intents (id, server_id, answer, created_at)
             SELECT gen_random_uuid(), 'node-1', '{{}}', now() - interval '{age}' FROM generate_series(1, {count})"
        );
        run(&stack.app.db, &statement).await;
    };
    insert(1_500, "8 days").await;
    insert(3, "6 days").await;
    let kept = Kept::of(&stack.app.config);
    // The service deletes too, and a batch that both chose is deleted by one of them only.
    let deleted = wait::until(wait::SOON, "the old answers to be deleted", async || {
        delete_old_rows(&stack.app.db, kept).await.expect("deleted");
        recorded(&stack).await <= 3
    });
    deleted.await.expect("deleted");
    assert_eq!(recorded(&stack).await, 3);
}
