//! Every operation with a key of every role.

use std::collections::BTreeMap;

use poem::http::StatusCode;
use vpnmanager_entities::api_key::Role;
use vpnmanager_management::{api, domain::role::suffices};

use super::make_of;
use crate::api_access::{call, operations};
use crate::stack::{Stack, problem_of};

/// The role that each operation states; `None`: it looks at no key.
fn stated() -> BTreeMap<String, Option<Role>> {
    let spec = api::spec();
    let paths = spec.document()["paths"].as_object().expect("paths");
    let operations = paths
        .values()
        .flat_map(|path| path.as_object().expect("operations").values());
    let stated = operations.map(|operation| {
        let id = operation["operationId"].as_str().expect("an id").to_owned();
        let said = operation["x-required-role"].as_str();
        let role = said.map(|said| {
            let found = Role::ALL.into_iter().find(|role| role.as_str() == said);
            found.unwrap_or_else(|| panic!("{id}: {said}"))
        });
        let is_said = |role: Role| {
            let description = operation["description"].as_str().expect("a description");
            description.contains(&format!("`{}`", role.as_str()))
        };
        assert!(role.is_none_or(is_said), "{id} says its role to programs only");
        (id, role)
    });
    stated.collect()
}

#[test]
fn each_operation_states_its_role_but_those_that_look_at_no_key() {
    let without = stated().into_iter().filter(|(_, role)| role.is_none());
    let without: Vec<String> = without.map(|(id, _)| id).collect();
    assert_eq!(
        without,
        ["get_health", "get_life", "get_readiness", "tell_endnode_standing"]
    );
}

#[tokio::test]
async fn each_role_may_do_what_the_description_says_and_nothing_else() {
    let stack = Stack::start().await;
    let client = stack.client();
    let stated = stated();
    for role in Role::ALL {
        let made = make_of(&stack, role.as_str()).await;
        for operation in operations() {
            let Some(needed) = stated[&operation.2] else {
                continue;
            };
            let response = call(&client, &operation, Some(("x-api-key", made.key.clone()))).await;
            if suffices(role, needed) {
                let status = response.0.status();
                let refused = [
                    StatusCode::UNAUTHORIZED,
                    StatusCode::FORBIDDEN,
                    StatusCode::INTERNAL_SERVER_ERROR,
                ];
                assert!(!refused.contains(&status), "{role:?} {operation:?}: {status}");
                continue;
            }
            let (problem, _) = problem_of(response, StatusCode::FORBIDDEN).await;
            let detail = problem["detail"].as_str().expect("words");
            let names_it = detail.ends_with(&format!("needs a key of the role {}", needed.as_str()));
            assert!(names_it, "{role:?} {operation:?}: {detail}");
        }
    }
}
