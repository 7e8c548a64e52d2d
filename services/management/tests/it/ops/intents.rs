//! Requests of local APIs: what an operator asked a node to do.

use chrono::{TimeDelta, Utc};
use sea_orm::{EntityTrait, PaginatorTrait, QueryFilter};
use vpnmanager_entities::audit_log;
use vpnmanager_management::ops::users::accept_intent::accept;
use vpnmanager_nats::{
    ids::{IntentId, UserKey},
    intents::{Intent, IntentAction, IntentAnswer, IntentRefusal},
};

use super::{create, enrol, node, view};
use crate::stack::Stack;

fn intent(action: IntentAction) -> Intent {
    Intent {
        id: IntentId::new(),
        node: node("node-1"),
        requested_at: Utc::now(),
        source: None,
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
