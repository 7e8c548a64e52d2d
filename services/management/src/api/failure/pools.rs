//! The errors of operations on pools as HTTP problems.

use vpnmanager_nats::ids::DEFAULT_POOL;
use vpnmanager_openapi::problem::ApiError;

use super::{counted, database};
use crate::{
    app::App,
    domain::pool::Swallowed,
    ops::pools::{change::ChangePoolError, create::CreatePoolError, read::Members, remove::RemovePoolError},
};

pub(in crate::api) fn unknown_pool() -> ApiError {
    ApiError::not_found("there is no such pool")
}

pub(in crate::api) fn of_create_pool(app: &App, error: CreatePoolError) -> ApiError {
    match error {
        CreatePoolError::NameTaken => ApiError::conflict("name", error.to_string()),
        CreatePoolError::Swallowed(swallowed) => of_swallowed(&swallowed),
        CreatePoolError::Database(error) => database(app, error),
    }
}

pub(in crate::api) fn of_change_pool(app: &App, error: ChangePoolError) -> ApiError {
    match error {
        ChangePoolError::UnknownPool => unknown_pool(),
        ChangePoolError::Swallowed(swallowed) => of_swallowed(&swallowed),
        ChangePoolError::Database(error) => database(app, error),
    }
}

/// A route that has the right form, and would lead a way into the tunnel.
fn of_swallowed(swallowed: &Swallowed) -> ApiError {
    ApiError::conflict(format!("network.routes.{}", swallowed.route), swallowed.to_string())
}

pub(in crate::api) fn of_remove_pool(app: &App, error: RemovePoolError) -> ApiError {
    match error {
        RemovePoolError::UnknownPool => unknown_pool(),
        RemovePoolError::IsDefault => {
            ApiError::conflicting_state(format!("the pool {DEFAULT_POOL} is never deleted: {error}"))
        }
        RemovePoolError::InUse(Members { nodes, users }) => ApiError::conflicting_state(format!(
            "{} and {} are in the pool: move its servers to another one or deregister them, and delete its users, first",
            counted(nodes, "server"),
            counted(users, "user"),
        )),
        RemovePoolError::OfGroup(group) => ApiError::conflicting_state(format!(
            "the group {group} places its members in the pool: name another one as its `pool`, or null, first"
        )),
        RemovePoolError::Database(error) => database(app, error),
    }
}
