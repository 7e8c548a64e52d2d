//! Turns the errors of operations into HTTP problems. Only this file and those below it choose their statuses.

pub(super) mod events;
pub(super) mod groups;
pub(super) mod imports;
pub(super) mod keys;
pub(super) mod nodes;
pub(super) mod pools;
pub(super) mod users;
pub(super) mod webhooks;

use std::borrow::Borrow;
use std::error::Error;
use std::time::Duration;

use sea_orm::DbErr;
use vpnmanager_openapi::problem::ApiError;
use vpnmanager_runtime::error_chain::chain;
use vpnmanager_runtime::log_limit::LogLimit;

use crate::{
    app::App,
    ops::{
        keys::authenticate::AuthenticateError,
        sqlstate::{Meaning, Resource, meaning},
    },
};

/// When there may be room for another answer.
const ROOM_IN: Duration = Duration::from_secs(60);

static UNUSABLE_NOW: LogLimit = LogLimit::new("the database cannot be used");

/// Turns a database error into 503 if the database cannot be used at the moment, 400 if it refused a value, and 500 otherwise.
pub(super) fn database<E>(app: &App, error: E) -> ApiError
where
    E: Borrow<DbErr> + Into<Box<dyn Error + Send + Sync>>,
{
    if let Some(why) = unusable(app, error.borrow()) {
        // Whoever presents a key, right or wrong, causes one.
        if let Some(times) = UNUSABLE_NOW.admit() {
            tracing::warn!(error = %chain(Borrow::<DbErr>::borrow(&error)), why, times, "The database cannot be used");
        }
        return ApiError::unavailable(why);
    }
    match meaning(error.borrow()) {
        Meaning::BadValue => ApiError::bad_request("the database cannot store one of the values: correct the request"),
        // An operation that expects a contradiction has an error of its own for it.
        Meaning::Contradiction
        | Meaning::Lost
        | Meaning::InUse
        | Meaning::ReadOnly
        | Meaning::Exhausted(_)
        | Meaning::TooSlow
        | Meaning::Away
        | Meaning::NotAllowed
        | Meaning::Fault => ApiError::internal(error),
    }
}

/// What callers are told of a database that cannot do this at the moment; `None` if trying again later changes nothing.
pub(super) fn unusable(app: &App, error: &DbErr) -> Option<String> {
    app.reach.note(error);
    let at = app.reach.place();
    match meaning(error) {
        Meaning::Away => Some(app.reach.explain(error)),
        Meaning::ReadOnly => Some(format!(
            "the database at {at} takes no changes: it is read-only, as a standby is; let DB_HOST or DATABASE_URL name the primary"
        )),
        Meaning::Exhausted(resource) => Some(format!("the database at {at} {}", shortage_of(resource))),
        Meaning::TooSlow => Some(format!(
            "the database at {at} took too long and stopped what was asked of it; try again"
        )),
        Meaning::Lost | Meaning::InUse => Some("others change the same at this moment; try again".to_owned()),
        Meaning::BadValue | Meaning::Contradiction | Meaning::NotAllowed | Meaning::Fault => None,
    }
}

fn shortage_of(resource: Resource) -> &'static str {
    match resource {
        Resource::Disk => "has no room left on its disk: make room there",
        Resource::Memory => "has not enough memory: give it more, or let others use less",
        Resource::Connections => {
            "has too many clients: raise max_connections there, or the limit of the role or the database, or close others"
        }
        Resource::Limit => "has reached a limit of its configuration; its log says which",
    }
}

pub(super) fn of_authenticate(app: &App, error: AuthenticateError) -> ApiError {
    match error {
        AuthenticateError::Database(error) => database(app, error),
        AuthenticateError::Stopping => stopping(),
    }
}

pub(super) fn stopping() -> ApiError {
    ApiError::unavailable("management is stopping: ask again, another replica or the next start answers")
}

/// As many answers as are kept for one API key are kept.
pub(super) fn no_room_for_answers() -> ApiError {
    ApiError::too_many_requests(
        "this API key has sent as many requests with an Idempotency-Key as are known for a day: send fewer, many users with \
         POST /api/users:batch, or this one without it",
        ROOM_IN,
    )
}

/// A caller without a key must wait for this long.
pub(super) fn too_many_keyless(wait: Duration) -> ApiError {
    ApiError::too_many_requests(
        "too many requests without a key from this address: wait as long as Retry-After says",
        wait,
    )
}

/// So many of these.
fn counted(number: i64, one: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        _ => format!("{number} {one}s"),
    }
}
