//! A pool says how many nodes its users get.

use poem::http::StatusCode;
use serde_json::{Value, json};
use vpnmanager_testbed::wait;

use super::{change, get};
use crate::stack::{Stack, json_of};

fn nodes_of(user: &Value) -> usize {
    user["nodes"].as_array().expect("nodes").len()
}

#[tokio::test]
async fn users_get_as_many_nodes_as_their_pool_says() {
    let stack = Stack::start_with(&[("PLACEMENT_REPLICAS", "2")]).await;
    for id in ["node-1", "node-2", "node-3"] {
        stack.enrol(id).await;
    }
    let set = async |replicas: Value| {
        let body = json!({ "replicas": replicas });
        json_of(change(&stack, "default", &body).await, StatusCode::OK).await;
    };
    assert_eq!(nodes_of(&stack.create_user("alice").await), 2);

    set(json!(1)).await;
    assert_eq!(nodes_of(&stack.create_user("bob").await), 1);
    let alice = get(&stack, "/api/users/alice").await;
    assert_eq!(nodes_of(&alice), 2, "nobody is taken off a node");

    set(json!(3)).await;
    for username in ["alice", "bob"] {
        let path = format!("/api/users/{username}");
        let is_on_all = async || nodes_of(&get(&stack, &path).await) == 3;
        wait::until(wait::SOON, "the user is on all nodes", is_on_all)
            .await
            .expect("placed");
    }

    set(Value::Null).await;
    assert_eq!(nodes_of(&stack.create_user("carol").await), 2);
}
