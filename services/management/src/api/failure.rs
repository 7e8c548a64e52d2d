//! Turns the errors of operations into HTTP problems. Only this file chooses their statuses.

use std::borrow::Borrow;
use std::error::Error;
use std::fmt::Display;
use std::time::Duration;

use chrono::TimeDelta;
use sea_orm::{DbErr, RuntimeErr};
use vpnmanager_nats::security::enrolment::ENROLLED_WITHIN;
use vpnmanager_nats::security::keys::InvalidKey;
use vpnmanager_openapi::problem::ApiError;
use vpnmanager_runtime::error_chain::chain;
use vpnmanager_runtime::log_limit::LogLimit;

use crate::{
    ops::{
        keys::authenticate::AuthenticateError,
        nodes::{
            change::ChangeNodeError,
            deregister::DeregisterNodeError,
            register::RegisterNodeError,
            tell_standing::{ANSWERED_WITHIN, TellStandingError},
        },
        sqlstate::{is_read_only, sqlstate},
        users::{create::CreateUserError, fetch_profile::FetchProfileError, locked::LivingUserError},
    },
    pki::PkiError,
};

static AWAY_NOW: LogLimit = LogLimit::new("the database does not answer");
static READ_ONLY_NOW: LogLimit = LogLimit::new("the database is read-only");
static NO_PROFILE: LogLimit = LogLimit::lines("a node failed to send a profile", 5);
static NOT_ENROLLED: LogLimit = LogLimit::lines("enrolling a node failed", 5);

const DATABASE_AWAY: &str = "the database does not answer";
/// What callers are told of a database that is read-only.
pub(super) const DATABASE_READ_ONLY: &str = "the database takes no changes: it is read-only, as a standby is";
/// PostgreSQL manual, appendix A: data exceptions (class 22), check violations and not-null violations.
const BAD_VALUES: [&str; 3] = ["22", "23514", "23502"];
/// The classes of connection exceptions, insufficient resources and operator intervention.
const AWAY: [&str; 3] = ["08", "53", "57"];

/// Turns a database error into 503 if the database cannot be reached or takes no changes, 400 if it refused a value, and 500 otherwise.
pub(super) fn database<E>(error: E) -> ApiError
where
    E: Borrow<DbErr> + Into<Box<dyn Error + Send + Sync>>,
{
    if is_read_only(error.borrow()) {
        if let Some(times) = READ_ONLY_NOW.admit() {
            tracing::warn!(error = %chain(Borrow::<DbErr>::borrow(&error)), times, "The database takes no changes: does DB_HOST name a standby?");
        }
        return ApiError::unavailable(DATABASE_READ_ONLY);
    }
    let begins = |code: &str, heads: &[&str]| heads.iter().any(|head| code.starts_with(head));
    let is_away = match sqlstate(error.borrow()) {
        Some(code) if begins(&code, &BAD_VALUES) => {
            return ApiError::bad_request("the database cannot store one of the values");
        }
        Some(code) => begins(&code, &AWAY),
        None => is_connection_failure(error.borrow()),
    };
    if !is_away {
        return ApiError::internal(error);
    }
    // Whoever presents a key, right or wrong, causes one.
    if let Some(times) = AWAY_NOW.admit() {
        tracing::warn!(error = %chain(Borrow::<DbErr>::borrow(&error)), times, "The database does not answer");
    }
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

pub(super) fn of_authenticate(error: AuthenticateError) -> ApiError {
    match error {
        AuthenticateError::Database(error) => database(error),
        AuthenticateError::Stopping => ApiError::unavailable("management is stopping"),
    }
}

/// A caller without a key must wait for this long.
pub(super) fn too_many_keyless(wait: Duration) -> ApiError {
    ApiError::too_many_requests("too many requests without a key from this address", wait)
}

pub(super) fn of_create_user(error: CreateUserError) -> ApiError {
    match error {
        CreateUserError::UsernameTaken => ApiError::conflict("username", "is taken"),
        CreateUserError::UnknownServer => ApiError::conflict("server_id", "there is no such server"),
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
            "the profile is not made yet because the user is not synced; try again later, or create users with ?wait=",
        ),
        FetchProfileError::NotHeld { server, .. } => ApiError::conflicting_state(format!(
            "server {server}, the user's home, does not hold the profile because its private key was lost there. Copies that were \
                 handed out keep working; POST /api/users/{{username}}/reissue creates a new profile"
        )),
        FetchProfileError::NodeUnreachable(server) => {
            ApiError::unavailable(format!("server {server}, which stores the profile, cannot be reached"))
        }
        FetchProfileError::NodeFailed { ref server, ref detail } => {
            if let Some(times) = NO_PROFILE.admit() {
                tracing::warn!(node.id = %server, error = detail, times, "A node failed to send a profile");
            }
            ApiError::unavailable(format!("server {server} failed to send the profile"))
        }
        FetchProfileError::Unfit { server, source } => ApiError::bad_gateway(format!(
            "what server {server} sent does not belong into the profile and is not handed out: {}",
            chain(&source)
        )),
        FetchProfileError::Compose(_) => ApiError::internal(error),
        FetchProfileError::Database(error) => database(error),
    }
}

/// A key of the right form that is no key: whoever sends it proves nothing.
pub(super) fn of_bus_key(error: InvalidKey) -> ApiError {
    ApiError::unproven("bus_public_key", error.to_string())
}

pub(super) fn of_register_node(error: RegisterNodeError) -> ApiError {
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
        RegisterNodeError::InvalidToken => ApiError::unauthorized("the join token is not valid"),
        RegisterNodeError::ExpiredToken => ApiError::unauthorized("the join token has expired"),
        RegisterNodeError::UsedToken => ApiError::unauthorized(error.to_string()),
        RegisterNodeError::NameTaken => ApiError::conflict("server_id", error.to_string()),
        RegisterNodeError::Csr(error) => match error {
            PkiError::InvalidCsr(reason) => ApiError::invalid("csr", reason.to_string()),
            PkiError::Sign(_) | PkiError::Interrupted => ApiError::internal(error),
        },
        RegisterNodeError::Jwt(_) => ApiError::internal(error),
        RegisterNodeError::Topology(_) | RegisterNodeError::Revoke(_) => {
            if let Some(times) = NOT_ENROLLED.admit() {
                tracing::warn!(error = %chain(&error), times, "Enrolling a node failed");
            }
            ApiError::unavailable("the bus is not ready for the node")
        }
        RegisterNodeError::Database(error) => database(error),
    }
}

/// Its length, in whole seconds.
fn in_words(time: TimeDelta) -> impl Display {
    humantime::format_duration(Duration::from_secs(time.num_seconds().unsigned_abs()))
}

pub(super) fn of_change_node(error: ChangeNodeError) -> ApiError {
    match error {
        ChangeNodeError::UnknownServer => unknown_server(),
        ChangeNodeError::NowhereToGo => ApiError::conflicting_state(
            "no other server of the pool can take its clients: each is disabled, draining or lost",
        ),
        ChangeNodeError::Database(error) => database(error),
    }
}

pub(super) fn of_tell_standing(error: TellStandingError) -> ApiError {
    match error {
        TellStandingError::Signature => ApiError::forbidden("the signature of the question is not by bus_public_key"),
        TellStandingError::Time => ApiError::forbidden(format!(
            "`at` is more than {} away from management's clock: check the clock of the server",
            in_words(ANSWERED_WITHIN),
        )),
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
                "Updating the bus after a deregistration failed, trying again"
            );
            ApiError::unavailable(
                "the server is deregistered, but the bus could not be updated yet; management keeps trying until it is",
            )
        }
        DeregisterNodeError::Database(error) => database(error),
    }
}
