//! Who waits for whom in PostgreSQL.

use std::time::Duration;

use sea_orm::{EntityTrait, QuerySelect, TransactionTrait};
use vpnmanager_entities::server;
use vpnmanager_management::ops::{
    credentials::revoke_node::NodeCredentials,
    nodes::deregister::deregister_node,
    users::{
        change::{UserChange, change_user},
        reissue::{OldProfiles, reissue_profile},
        remove::remove_user,
    },
};

use super::{actor, create, enrol, node};
use crate::stack::Stack;

/// Far longer than a change takes, far shorter than PostgreSQL waits before it looks for a deadlock.
const AT_ONCE: Duration = Duration::from_millis(800);

#[tokio::test]
async fn changes_of_users_do_not_wait_for_a_node_that_is_being_deregistered() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    enrol(&stack, "node-2").await;
    for name in ["alice", "bob", "carol"] {
        create(&stack, name).await;
    }
    let name = |name: &str| name.parse().expect("a valid username");
    let suspend = UserChange {
        active: Some(false),
        ..UserChange::default()
    };
    // As a deregistration begins, before it waits for the node's users.
    let deregistration = stack.app.db.begin().await.expect("begun");
    let nodes = server::Entity::find().lock_exclusive().all(&deregistration).await;
    assert_eq!(nodes.expect("locked").len(), 2);

    let changes = async {
        let (app, actor) = (&stack.app, actor());
        change_user(app, &actor, &name("alice"), suspend)
            .await
            .expect("suspended");
        reissue_profile(app, &actor, &name("bob"), OldProfiles::Revoke)
            .await
            .expect("reissued");
        remove_user(app, &actor, &name("carol")).await.expect("removed");
    };
    tokio::time::timeout(AT_ONCE, changes).await.expect("nobody waits");
    deregistration.rollback().await.expect("rolled back");
}

#[tokio::test]
async fn nodes_that_are_deregistered_at_once_go_one_after_the_other() {
    let stack = Stack::start().await;
    for id in ["node-1", "node-2", "node-3"] {
        enrol(&stack, id).await;
    }
    for number in 0..20 {
        create(&stack, &format!("user-{number}")).await;
    }
    let (actor, first, second) = (actor(), node("node-1"), node("node-2"));

    let (one, other) = tokio::join!(
        deregister_node(&stack.app, &actor, &first, NodeCredentials::Keep),
        deregister_node(&stack.app, &actor, &second, NodeCredentials::Keep)
    );

    one.expect("deregistered");
    other.expect("deregistered");
    let left = server::Entity::find().all(&stack.app.db).await.expect("read");
    assert_eq!(left.len(), 1);
}
