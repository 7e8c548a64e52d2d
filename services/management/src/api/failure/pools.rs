//! The errors of operations on pools as HTTP problems.

use vpnmanager_nats::ids::DEFAULT_POOL;
use vpnmanager_openapi::problem::ApiError;

use super::{counted, database};
use crate::{
    app::App,
    domain::{client_directives::WithoutDns, pool::Swallowed},
    ops::{
        pools::{change::ChangePoolError, create::CreatePoolError, read::Members, remove::RemovePoolError},
        rollouts::{RolloutError, start::StartRolloutError},
    },
};

pub(in crate::api) fn unknown_pool() -> ApiError {
    ApiError::not_found("there is no such pool")
}

pub(in crate::api) fn of_create_pool(app: &App, error: CreatePoolError) -> ApiError {
    match error {
        CreatePoolError::NameTaken => ApiError::conflict("name", error.to_string()),
        CreatePoolError::Swallowed(swallowed) => of_swallowed(&swallowed),
        CreatePoolError::WithoutDns(without) => of_without_dns(without),
        CreatePoolError::Database(error) => database(app, error),
    }
}

pub(in crate::api) fn of_change_pool(app: &App, error: ChangePoolError) -> ApiError {
    match error {
        ChangePoolError::UnknownPool => unknown_pool(),
        ChangePoolError::Swallowed(swallowed) => of_swallowed(&swallowed),
        ChangePoolError::WithoutDns(without) => of_without_dns(without),
        ChangePoolError::Database(error) => database(app, error),
    }
}

/// A route that has the right form, and would lead a way into the tunnel.
fn of_swallowed(swallowed: &Swallowed) -> ApiError {
    ApiError::conflict(format!("network.routes.{}", swallowed.route), swallowed.to_string())
}

/// A directive and a network that do not fit together: what the request says of them is named.
fn of_without_dns(without: WithoutDns) -> ApiError {
    let field = match without {
        WithoutDns::Directive { entry } | WithoutDns::DirectiveWithoutWays { entry } => {
            format!("client_directives.{entry}")
        }
        WithoutDns::NoServers | WithoutDns::NoWays => "network.dns_servers".to_owned(),
        WithoutDns::NoNetwork => "network".to_owned(),
    };
    ApiError::conflict(field, without.to_string())
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

pub(in crate::api) fn of_start_rollout(app: &App, error: StartRolloutError) -> ApiError {
    match error {
        StartRolloutError::UnknownPool => unknown_pool(),
        StartRolloutError::IsRunning => ApiError::conflicting_state(
            "a rollout of the pool is running: wait until it has ended, or stop it with DELETE",
        ),
        StartRolloutError::NobodyServes => ApiError::conflicting_state(
            "no server of the pool serves: each is disabled, drained, leaving, silent, or runs no OpenVPN",
        ),
        StartRolloutError::LeftDrained(node) => ApiError::conflicting_state(format!(
            "{node} failed in the last rollout of the pool and is still drained: mend it, POST /api/endnodes/{node}/undrain, and ask again"
        )),
        StartRolloutError::OnlyOne => ApiError::conflict(
            "drain",
            "only one server of the pool could take clients, so its own would find no other: enable or add one, or ask with `\"drain\": false`, \
             which restarts it under its clients, who come back by themselves",
        ),
        StartRolloutError::Database(error) => database(app, error),
    }
}

pub(in crate::api) fn of_rollout(app: &App, error: RolloutError) -> ApiError {
    match error {
        RolloutError::UnknownPool => unknown_pool(),
        RolloutError::NotAsked => ApiError::not_found("nobody asked for a rollout of this pool"),
        RolloutError::NotRunning => ApiError::not_found("no rollout of this pool is running"),
        RolloutError::Database(error) => database(app, error),
    }
}
