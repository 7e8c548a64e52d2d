//! The errors of operations on nodes, their sessions and join tokens as HTTP problems.

use std::fmt::Display;
use std::time::Duration;

use chrono::TimeDelta;
use sea_orm::ActiveEnum as _;
use vpnmanager_nats::security::enrolment::ENROLLED_WITHIN;
use vpnmanager_nats::security::keys::InvalidKey;
use vpnmanager_nats::topology::TopologyError;
use vpnmanager_openapi::problem::ApiError;
use vpnmanager_runtime::error_chain::chain;
use vpnmanager_runtime::log_limit::LogLimit;

use super::database;
use crate::{
    app::App,
    ops::{
        certificates::node::NodeCertificateError,
        keys::revoke_join_token::RevokeJoinTokenError,
        nodes::{
            change::ChangeNodeError,
            deregister::DeregisterNodeError,
            move_node::MoveNodeError,
            register::RegisterNodeError,
            tell_standing::{ANSWERED_WITHIN, TellStandingError},
        },
        quotas::discard::DiscardTrafficError,
        reissues::{NodeReissueError, start::StartReissueError},
        sessions::end_session::EndSessionError,
    },
    pki::PkiError,
};

static NOT_ENDED: LogLimit = LogLimit::lines("a node failed to end a session", 5);
static NOT_ENROLLED: LogLimit = LogLimit::lines("enrolling a node failed", 5);

pub(in crate::api) fn unknown_server() -> ApiError {
    ApiError::not_found("there is no such server")
}

pub(in crate::api) fn of_discard_traffic(app: &App, error: DiscardTrafficError) -> ApiError {
    match error {
        DiscardTrafficError::UnknownServer => unknown_server(),
        DiscardTrafficError::Database(error) => database(app, error),
    }
}

/// A key of the right form that is no key: whoever sends it proves nothing.
pub(in crate::api) fn of_bus_key(error: InvalidKey) -> ApiError {
    ApiError::unproven("bus_public_key", error.to_string())
}

pub(in crate::api) fn of_register_node(app: &App, error: RegisterNodeError) -> ApiError {
    match error {
        RegisterNodeError::Signature => ApiError::unproven(
            "signature",
            "is not by bus_public_key over this request: it was made with another key, or the request was altered",
        ),
        RegisterNodeError::Time { ahead } => ApiError::unproven(
            "at",
            format!(
                "is {} {} management's clock, and {} are allowed: set the clock of the server",
                in_words(ahead),
                if ahead > TimeDelta::zero() {
                    "ahead of"
                } else {
                    "behind"
                },
                in_words(ENROLLED_WITHIN),
            ),
        ),
        RegisterNodeError::Host(error) => ApiError::invalid("host", error.to_string()),
        RegisterNodeError::InvalidToken => ApiError::unauthorized(
            "the join token is not valid: make one for this server_id with POST /api/join-tokens",
        ),
        RegisterNodeError::ExpiredToken => {
            ApiError::unauthorized("the join token has expired: make another one with POST /api/join-tokens")
        }
        RegisterNodeError::UsedToken => ApiError::unauthorized(error.to_string()),
        RegisterNodeError::NameTaken => ApiError::conflict("server_id", error.to_string()),
        RegisterNodeError::KeyTaken => ApiError::conflict("bus_public_key", error.to_string()),
        RegisterNodeError::Leaving => ApiError::unavailable(error.to_string()),
        RegisterNodeError::Csr(error) | RegisterNodeError::Certificate(NodeCertificateError::Pki(error)) => {
            of_certifying(error)
        }
        RegisterNodeError::Certificate(NodeCertificateError::Database(error)) => database(app, error),
        // It was deregistered in this moment.
        RegisterNodeError::Certificate(NodeCertificateError::Unregistered | NodeCertificateError::OtherKey) => {
            ApiError::unavailable("the certificate of the node could not be made: try again")
        }
        RegisterNodeError::Certificate(NodeCertificateError::Unreadable) => ApiError::internal(error),
        RegisterNodeError::Jwt(_) => ApiError::internal(error),
        RegisterNodeError::Topology(_) | RegisterNodeError::Revoke(_) => {
            if let Some(times) = NOT_ENROLLED.admit() {
                tracing::warn!(error = %chain(&error), times, "Enrolling a node failed");
            }
            if let RegisterNodeError::Topology(full @ TopologyError::NoRoom { .. }) = &error {
                return ApiError::unavailable(full.to_string());
            }
            ApiError::unavailable(
                "the bus is not ready for the node: try again; if it stays so, GET /health and management's log say why",
            )
        }
        RegisterNodeError::Database(error) => database(app, error),
    }
}

fn of_certifying(error: PkiError) -> ApiError {
    match error {
        PkiError::InvalidCsr(reason) => ApiError::invalid("csr", reason.to_string()),
        PkiError::UnknownAuthority(_) => ApiError::unavailable(error.to_string()),
        PkiError::Sign(_) | PkiError::Interrupted => ApiError::internal(error),
    }
}

pub(in crate::api) fn of_revoke_join_token(app: &App, error: RevokeJoinTokenError) -> ApiError {
    match error {
        RevokeJoinTokenError::UnknownToken => ApiError::not_found("there is no such join token"),
        RevokeJoinTokenError::Used { node } => ApiError::conflicting_state(format!(
            "server {node} enrolled with the join token already: if it should not be in the fleet, deregister it with \
             POST /api/endnodes/{node}/deregister"
        )),
        RevokeJoinTokenError::Database(error) => database(app, error),
    }
}

/// Its length, in whole seconds.
fn in_words(time: TimeDelta) -> impl Display {
    humantime::format_duration(Duration::from_secs(time.num_seconds().unsigned_abs()))
}

pub(in crate::api) fn of_change_node(app: &App, error: ChangeNodeError) -> ApiError {
    match error {
        ChangeNodeError::UnknownServer => unknown_server(),
        ChangeNodeError::NowhereToGo => ApiError::conflicting_state(
            "no other server of the pool can take its clients, each is disabled, draining, leaving or lost, was never heard or in sync, or its \
             OpenVPN does not serve: enable or add one first",
        ),
        ChangeNodeError::Database(error) => database(app, error),
    }
}

pub(in crate::api) fn of_move_node(app: &App, error: MoveNodeError) -> ApiError {
    match error {
        MoveNodeError::UnknownServer => unknown_server(),
        MoveNodeError::NowhereToGo { pool } => ApiError::conflicting_state(format!(
            "no other server of the pool {pool} can take the users of this one, each is disabled, draining, leaving or lost: enable or add one \
             first"
        )),
        MoveNodeError::HasOldCertificates { .. } => ApiError::conflicting_state(format!(
            "{error}, so its users would be in two pools: give them their new profiles and revoke the old certificates first, or leave the server \
             where it is"
        )),
        MoveNodeError::Database(error) => database(app, error),
    }
}

pub(in crate::api) fn of_start_reissue(app: &App, error: StartReissueError) -> ApiError {
    match error {
        StartReissueError::UnknownServer => unknown_server(),
        StartReissueError::OtherTimeGoesOn => ApiError::conflict(
            "made_before",
            "new profiles of all users of the server are being made already, by another time or by none: wait until that has ended, or end it with DELETE",
        ),
        StartReissueError::OtherGoesOn(old) => ApiError::conflict(
            "old_profiles",
            format!(
                "new profiles of all users of the server are being made already, with `{}`: wait until that has ended, or end it with DELETE",
                old.to_value()
            ),
        ),
        StartReissueError::Database(error) => database(app, error),
    }
}

pub(in crate::api) fn of_node_reissue(app: &App, error: NodeReissueError) -> ApiError {
    match error {
        NodeReissueError::UnknownServer => unknown_server(),
        NodeReissueError::NotAsked => ApiError::not_found("nobody asked for new profiles of all users of this server"),
        NodeReissueError::Database(error) => database(app, error),
    }
}

pub(in crate::api) fn of_end_session(app: &App, error: EndSessionError) -> ApiError {
    match error {
        EndSessionError::NotThere => ApiError::not_found("there is no such session: it has ended"),
        EndSessionError::NodeUnreachable(server) => ApiError::unavailable(format!(
            "server {server} cannot be reached; suspend the user if the session must end"
        )),
        EndSessionError::NodeFailed { .. } => {
            if let Some(times) = NOT_ENDED.admit() {
                tracing::warn!(error = %chain(&error), times, "A node failed to end a session");
            }
            ApiError::unavailable(format!(
                "{error}; ask again, or suspend the user if the session must end"
            ))
        }
        EndSessionError::Database(error) => database(app, error),
    }
}

pub(in crate::api) fn of_tell_standing(app: &App, error: TellStandingError) -> ApiError {
    match error {
        TellStandingError::Signature => {
            ApiError::forbidden("the signature of the question is not by bus_public_key: sign it with that key")
        }
        TellStandingError::Time => ApiError::forbidden(format!(
            "`at` is more than {} away from management's clock: check the clock of the server",
            in_words(ANSWERED_WITHIN),
        )),
        TellStandingError::Jwt(_) | TellStandingError::Sign(_) => ApiError::internal(error),
        TellStandingError::Database(error) => database(app, error),
    }
}

pub(in crate::api) fn of_deregister_node(app: &App, error: DeregisterNodeError) -> ApiError {
    match error {
        DeregisterNodeError::UnknownServer => unknown_server(),
        DeregisterNodeError::Revoke(_) | DeregisterNodeError::Topology(_) => {
            tracing::warn!(
                error = %chain(&error),
                "Updating the bus after a deregistration failed, trying again"
            );
            ApiError::unavailable(
                "the server is deregistered, but the bus could not be updated yet; management keeps trying until it is",
            )
        }
        DeregisterNodeError::Database(error) => database(app, error),
    }
}
