//! What becomes of the errors of the operations: the one place that knows their HTTP status.

use std::borrow::Borrow;
use std::error::Error;

use sea_orm::{DbErr, RuntimeErr};
use vpnmanager_openapi::problem::ApiError;
use vpnmanager_runtime::error_chain::chain;

use crate::{
    ops::{
        nodes::{
            change::ChangeNodeError, deregister::DeregisterNodeError, register::RegisterNodeError,
            tell_standing::TellStandingError,
        },
        sqlstate::sqlstate,
        users::{create::CreateUserError, fetch_profile::FetchProfileError, locked::LivingUserError},
    },
    pki::PkiError,
};

const DATABASE_AWAY: &str = "the database does not answer";
/// PostgreSQL manual, appendix A: data exceptions, and two rules of the schema that a value from outside can break.
const BAD_VALUES: [&str; 3] = ["22", "23514", "23502"];
/// Connection exceptions, insufficient resources, operator intervention.
const AWAY: [&str; 3] = ["08", "53", "57"];

/// A failure of the database: 503 when it is away, 400 when it refused a value, else 500.
pub(super) fn database<E>(error: E) -> ApiError
where
    E: Borrow<DbErr> + Into<Box<dyn Error + Send + Sync>>,
{
    let begins = |code: &str, heads: &[&str]| heads.iter().any(|head| code.starts_with(head));
    let is_away = match sqlstate(error.borrow()) {
        Some(code) if begins(&code, &BAD_VALUES) => {
            return ApiError::bad_request("a value is not one that can be stored");
        }
        Some(code) => begins(&code, &AWAY),
        None => is_connection_failure(error.borrow()),
    };
    if !is_away {
        return ApiError::internal(error);
    }
    tracing::warn!(error = %chain(Borrow::<DbErr>::borrow(&error)), "The database does not answer");
    ApiError::unavailable(DATABASE_AWAY)
}

fn is_connection_failure(error: &DbErr) -> bool {
    if let DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error)) = error {
        use sqlx::Error::{Io, PoolClosed, PoolTimedOut, Protocol, Tls};
        return matches!(**error, Io(_) | Tls(_) | PoolTimedOut | PoolClosed | Protocol(_));
    }
    matches!(error, DbErr::ConnectionAcquire(_) | DbErr::Conn(_))
}

pub(super) fn unknown_user() -> ApiError {
    ApiError::not_found("there is no such user")
}

pub(super) fn unknown_server() -> ApiError {
    ApiError::not_found("there is no such server")
}

pub(super) fn of_create_user(error: CreateUserError) -> ApiError {
    match error {
        CreateUserError::UsernameTaken => ApiError::conflict("username", "is taken"),
        CreateUserError::UnknownServer => ApiError::invalid("server_id", "there is no such server"),
        CreateUserError::ServerUnavailable => {
            ApiError::conflict("server_id", "the server is disabled or draining and takes no users")
        }
        CreateUserError::NoServer => ApiError::conflicting_state("no server takes users: enrol one first"),
        CreateUserError::Database(error) => database(error),
        CreateUserError::Stopping => ApiError::unavailable("management is stopping"),
    }
}

pub(super) fn of_living_user(error: LivingUserError) -> ApiError {
    match error {
        LivingUserError::UnknownUser => unknown_user(),
        LivingUserError::Database(error) => database(error),
    }
}

pub(super) fn of_fetch_profile(error: FetchProfileError) -> ApiError {
    match error {
        FetchProfileError::UnknownUser => unknown_user(),
        FetchProfileError::NotIssuedYet(_) => ApiError::conflicting_state(
            "the profile is not made yet: the user is not synced; try again, or create with ?wait=",
        ),
        FetchProfileError::NotHeld { server, .. } => ApiError::conflicting_state(format!(
            "server {server}, the user's home, does not hold the profile: its key was lost there. Copies given out before go on \
                 working; POST /api/users/{{username}}/reissue makes a new one"
        )),
        FetchProfileError::NodeUnreachable(server) => {
            ApiError::unavailable(format!("server {server}, which keeps the profile, cannot be reached"))
        }
        FetchProfileError::NodeFailed { ref server, ref detail } => {
            tracing::warn!(node.id = %server, error = detail, "A node could not give a profile");
            ApiError::unavailable(format!("server {server} could not give the profile"))
        }
        FetchProfileError::Answer { .. } => ApiError::internal(error),
        FetchProfileError::Database(error) => database(error),
    }
}

pub(super) fn of_register_node(error: RegisterNodeError) -> ApiError {
    match error {
        RegisterNodeError::InvalidToken => ApiError::unauthorized("the join token is not valid"),
        RegisterNodeError::ExpiredToken => ApiError::unauthorized("the join token has expired"),
        RegisterNodeError::UsedToken => ApiError::unauthorized("the join token was used already"),
        RegisterNodeError::NameTaken => ApiError::conflict("server_id", error.to_string()),
        RegisterNodeError::Csr(error) => match error {
            PkiError::InvalidCsr(reason) => ApiError::invalid("csr", reason.to_string()),
            PkiError::Sign(_) | PkiError::Interrupted => ApiError::internal(error),
        },
        RegisterNodeError::Jwt(_) => ApiError::internal(error),
        RegisterNodeError::Topology(_) | RegisterNodeError::Revoke(_) => {
            tracing::warn!(
                error = %chain(&error),
                "A node could not be enrolled"
            );
            ApiError::unavailable("the bus is not ready for the node")
        }
        RegisterNodeError::Database(error) => database(error),
    }
}

pub(super) fn of_change_node(error: ChangeNodeError) -> ApiError {
    match error {
        ChangeNodeError::UnknownServer => unknown_server(),
        ChangeNodeError::NowhereToGo => ApiError::conflicting_state(
            "no other server of the pool is enabled, not draining and not lost: its clients would have nowhere to go",
        ),
        ChangeNodeError::Database(error) => database(error),
    }
}

pub(super) fn of_tell_standing(error: TellStandingError) -> ApiError {
    match error {
        TellStandingError::Signature => ApiError::forbidden("the signature is not by that key over this question"),
        TellStandingError::Time => {
            ApiError::forbidden("the question is not of this moment: is the clock of the server right?")
        }
        TellStandingError::Jwt(_) | TellStandingError::Sign(_) => ApiError::internal(error),
        TellStandingError::Database(error) => database(error),
    }
}

pub(super) fn of_deregister_node(error: DeregisterNodeError) -> ApiError {
    match error {
        DeregisterNodeError::UnknownServer => unknown_server(),
        DeregisterNodeError::Revoke(_) | DeregisterNodeError::Topology(_) => {
            tracing::warn!(
                error = %chain(&error),
                "The bus does not know of a deregistration yet"
            );
            ApiError::unavailable(
                "the server is deregistered, but the bus was not told yet; management repeats it until it is",
            )
        }
        DeregisterNodeError::Database(error) => database(error),
    }
}
