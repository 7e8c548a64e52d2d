//! Whoever has an old certificate stays on its node.

use std::time::Duration;

use vpnmanager_entities::placement::Role;
use vpnmanager_management::ops::{
    credentials::revoke_node::NodeCredentials,
    nodes::{
        deregister::deregister_node,
        move_node::{MoveNodeError, move_node},
    },
    placement::rehome::rehome_users,
};

use super::{accepted, import_one};
use crate::{
    database::run,
    ops::{actor, fleet, node, server_of, view},
};

#[tokio::test]
async fn a_lost_home_stays_a_node_of_who_has_an_old_certificate_there() {
    let stack = fleet(2).await;
    stack.end_tasks().await;
    import_one(&stack, "node-1", "alice").await;
    run(
        &stack.app.db,
        "UPDATE servers SET state = 'lost', lost_since = now() - interval '1 hour' WHERE name = 'node-1'",
    )
    .await;

    let rehomed = rehome_users(&stack.app, Duration::from_secs(60))
        .await
        .expect("rehomed");

    assert_eq!(rehomed.users, 1);
    let user = view(&stack, "alice").await.expect("there");
    let old = user
        .placements
        .iter()
        .find(|placement| placement.server_id == node("node-1"));
    let old = old.expect("a placement");
    assert_eq!((old.role, old.wanted_present), (Role::Standby, true));
    assert_eq!(accepted(&stack).await, ["node-1 alice"]);
}

#[tokio::test]
async fn a_node_with_old_certificates_is_not_moved_to_another_pool() {
    let stack = fleet(2).await;
    stack.end_tasks().await;
    import_one(&stack, "node-1", "alice").await;
    let refused = move_node(&stack.app, &actor(), &node("node-1"), &node("other")).await;
    assert!(
        matches!(refused, Err(MoveNodeError::HasOldCertificates { certificates: 1 })),
        "{refused:?}"
    );
    assert_eq!(server_of(&stack, "node-1").await.pool, "default");
}

#[tokio::test]
async fn a_node_that_leaves_the_fleet_takes_its_old_certificates_along() {
    let stack = fleet(2).await;
    import_one(&stack, "node-1", "alice").await;
    deregister_node(&stack.app, &actor(), &node("node-1"), NodeCredentials::Keep)
        .await
        .expect("deregistered");
    assert!(accepted(&stack).await.is_empty());
    let user = view(&stack, "alice").await.expect("there").user;
    assert_eq!(user.server_id, node("node-2"));
}
