//! Turns the errors of operations into HTTP problems. Only this file and the one below it choose their statuses.

pub(super) mod groups;

use std::borrow::Borrow;
use std::error::Error;
use std::fmt::Display;
use std::time::Duration;

use chrono::TimeDelta;
use sea_orm::DbErr;
use vpnmanager_nats::device::{DeviceName, MOST_DEVICES};
use vpnmanager_nats::ids::DEFAULT_POOL;
use vpnmanager_nats::security::enrolment::ENROLLED_WITHIN;
use vpnmanager_nats::security::keys::InvalidKey;
use vpnmanager_nats::topology::TopologyError;
use vpnmanager_openapi::problem::ApiError;
use vpnmanager_runtime::error_chain::chain;
use vpnmanager_runtime::log_limit::LogLimit;

use crate::{
    app::App,
    domain::pool::Swallowed,
    ops::{
        devices::{DeviceError, create::CreateDeviceError, limit::BeyondGroup},
        keys::{authenticate::AuthenticateError, revoke_join_token::RevokeJoinTokenError},
        links::{create::CreateLinkError, revoke::RevokeLinkError},
        nodes::{
            change::ChangeNodeError,
            deregister::DeregisterNodeError,
            move_node::MoveNodeError,
            register::RegisterNodeError,
            tell_standing::{ANSWERED_WITHIN, TellStandingError},
        },
        pools::{change::ChangePoolError, create::CreatePoolError, read::Members, remove::RemovePoolError},
        quotas::{discard::DiscardTrafficError, forgive::ForgiveTrafficError},
        sessions::end_session::EndSessionError,
        sqlstate::{Meaning, Resource, meaning},
        users::{
            change::ChangeUserError, create::CreateUserError, fetch_profile::FetchProfileError,
            locked::LivingUserError, operation::UserOperationError, reissue::ReissueError,
        },
    },
    pki::PkiError,
};

/// How a device gets another profile.
const REISSUE: &str = "POST /api/users/{username}/devices/{device}/reissue creates a new profile";

static UNUSABLE_NOW: LogLimit = LogLimit::new("the database cannot be used");
static NO_PROFILE: LogLimit = LogLimit::lines("a node failed to send a profile", 5);
static NOT_ENDED: LogLimit = LogLimit::lines("a node failed to end a session", 5);
static NOT_ENROLLED: LogLimit = LogLimit::lines("enrolling a node failed", 5);

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

pub(super) fn unknown_user() -> ApiError {
    ApiError::not_found("there is no such user")
}

fn unknown_device(device: &DeviceName) -> ApiError {
    ApiError::not_found(if device.is_default() {
        "there is no device default: POST /api/users/{username}/devices with this name makes it again".to_owned()
    } else {
        format!("there is no device {device}")
    })
}

fn too_many_devices() -> ApiError {
    ApiError::conflicting_state(format!(
        "the user has {MOST_DEVICES} devices, and no user has more: revoke one first"
    ))
}

fn beyond_group(beyond: &BeyondGroup) -> ApiError {
    let BeyondGroup { group, allowed, held } = beyond;
    ApiError::conflicting_state(format!(
        "the most devices that the group {group} allows is {allowed}, and the user has {held}: revoke one first, put the user into another \
         group, or raise `devices` of the group"
    ))
}

pub(super) fn unknown_server() -> ApiError {
    ApiError::not_found("there is no such server")
}

pub(super) fn unknown_pool() -> ApiError {
    ApiError::not_found("there is no such pool")
}

pub(super) fn of_authenticate(app: &App, error: AuthenticateError) -> ApiError {
    match error {
        AuthenticateError::Database(error) => database(app, error),
        AuthenticateError::Stopping => stopping(),
    }
}

fn stopping() -> ApiError {
    ApiError::unavailable("management is stopping: ask again, another replica or the next start answers")
}

/// A caller without a key must wait for this long.
pub(super) fn too_many_keyless(wait: Duration) -> ApiError {
    ApiError::too_many_requests(
        "too many requests without a key from this address: wait as long as Retry-After says",
        wait,
    )
}

pub(super) fn of_create_user(app: &App, error: CreateUserError) -> ApiError {
    match error {
        CreateUserError::UsernameTaken => ApiError::conflict("username", "is taken"),
        CreateUserError::UnknownGroup(_) => ApiError::conflict("group", error.to_string()),
        CreateUserError::UnknownServer => ApiError::conflict("server_id", "there is no such server"),
        CreateUserError::ServerInOtherPool { ref pool, .. } => ApiError::conflict(
            "server_id",
            format!("{error}: name one of the pool {pool}, leave server_id out, or name another group"),
        ),
        CreateUserError::ServerUnavailable => ApiError::conflict(
            "server_id",
            "the server is disabled, draining or leaving its pool, and takes no users: name another one, or leave server_id out",
        ),
        CreateUserError::ServerLost { .. } => ApiError::conflict(
            "server_id",
            format!("{error}: name another one, leave server_id out, or wait until it is back, healthy and in sync"),
        ),
        CreateUserError::NoServer { pool, group: None } => ApiError::conflicting_state(format!(
            "no server of the pool {pool} takes users: name one of another pool as server_id, or enable, undrain or enrol one in that pool"
        )),
        CreateUserError::NoServer {
            pool,
            group: Some(group),
        } => ApiError::conflicting_state(format!(
            "no server of the pool {pool} takes users, and the group {group} places its members there: enable, undrain or enrol one in that \
             pool, or change `pool` of the group"
        )),
        CreateUserError::Database(error) => database(app, error),
        CreateUserError::Stopping => stopping(),
    }
}

pub(super) fn of_living_user(app: &App, error: LivingUserError) -> ApiError {
    match error {
        LivingUserError::UnknownUser => unknown_user(),
        LivingUserError::Database(error) => database(app, error),
    }
}

pub(super) fn of_change_user(app: &App, error: ChangeUserError) -> ApiError {
    match error {
        ChangeUserError::User(error) => of_living_user(app, error),
        ChangeUserError::UnknownGroup(_) => ApiError::conflict("group", error.to_string()),
        ChangeUserError::Database(error) => database(app, error),
    }
}

pub(super) fn of_reissue(app: &App, error: ReissueError) -> ApiError {
    match error {
        ReissueError::User(error) => of_living_user(app, error),
        ReissueError::UnknownDevice(device) => unknown_device(&device),
        ReissueError::TooManyDevices => too_many_devices(),
        ReissueError::BeyondGroup(beyond) => beyond_group(&beyond),
        ReissueError::Database(error) => database(app, error),
    }
}

pub(super) fn of_create_device(app: &App, error: CreateDeviceError) -> ApiError {
    match error {
        CreateDeviceError::User(error) => of_living_user(app, error),
        CreateDeviceError::NameTaken(_) | CreateDeviceError::LikeDefault => {
            ApiError::conflict("name", error.to_string())
        }
        CreateDeviceError::TooManyDevices => too_many_devices(),
        CreateDeviceError::BeyondGroup(beyond) => beyond_group(&beyond),
        CreateDeviceError::Database(error) => database(app, error),
    }
}

pub(super) fn of_device(app: &App, error: DeviceError) -> ApiError {
    match error {
        DeviceError::User(error) => of_living_user(app, error),
        DeviceError::UnknownDevice(device) => unknown_device(&device),
        DeviceError::Database(error) => database(app, error),
    }
}

pub(super) fn of_forgive_traffic(app: &App, error: ForgiveTrafficError) -> ApiError {
    match error {
        ForgiveTrafficError::User(error) => of_living_user(app, error),
        ForgiveTrafficError::NoQuota(_) => {
            ApiError::conflicting_state(format!("{error}, so there is nothing to forgive"))
        }
        ForgiveTrafficError::Database(error) => database(app, error),
    }
}

pub(super) fn of_discard_traffic(app: &App, error: DiscardTrafficError) -> ApiError {
    match error {
        DiscardTrafficError::UnknownServer => unknown_server(),
        DiscardTrafficError::Database(error) => database(app, error),
    }
}

/// As for one user.
pub(super) fn of_user_operation(app: &App, error: UserOperationError) -> ApiError {
    match error {
        UserOperationError::Create(error) => of_create_user(app, error),
        UserOperationError::Change(error) => of_change_user(app, error),
        UserOperationError::Remove(error) => of_living_user(app, error),
    }
}

pub(super) fn of_fetch_profile(app: &App, error: FetchProfileError) -> ApiError {
    match error {
        FetchProfileError::UnknownUser => unknown_user(),
        FetchProfileError::UnknownDevice(device) => unknown_device(&device),
        FetchProfileError::NotIssuedYet(_) => ApiError::conflicting_state(
            "the profile is not made yet because the user is not synced; try again later, or create users with ?wait=",
        ),
        FetchProfileError::NotHeld { server, .. } => ApiError::conflicting_state(format!(
            "server {server}, the user's home, does not hold the profile because its private key was lost there, or because its agent \
                 is older than devices. Copies that were handed out keep working; {REISSUE}"
        )),
        FetchProfileError::Ended { at } => ApiError::conflicting_state(format!(
            "the certificate of the profile ended at {}, and no server accepts it: {REISSUE}",
            at.format("%Y-%m-%dT%H:%M:%SZ")
        )),
        FetchProfileError::NodeUnreachable(server) => ApiError::unavailable(format!(
            "server {server}, which stores the profile, cannot be reached: ask again when it is back, or reissue the user once \
                 another server is the home"
        )),
        FetchProfileError::NodeFailed { ref server, ref detail } => {
            if let Some(times) = NO_PROFILE.admit() {
                tracing::warn!(node.id = %server, error = detail, times, "A node failed to send a profile");
            }
            ApiError::unavailable(format!(
                "server {server} failed to send the profile: ask again; if it stays so, management's log says why"
            ))
        }
        FetchProfileError::Unfit { server, source } => ApiError::bad_gateway(format!(
            "what server {server} sent does not belong into the profile and is not handed out: {}",
            chain(&source)
        )),
        FetchProfileError::Compose(_) => ApiError::internal(error),
        FetchProfileError::Database(error) => database(app, error),
    }
}

pub(super) fn of_create_link(app: &App, error: CreateLinkError) -> ApiError {
    match error {
        CreateLinkError::NoPublicUrl => ApiError::conflicting_state(
            "management does not know where users reach it, so a link would lead nowhere: set PUBLIC_URL",
        ),
        CreateLinkError::User(error) => of_living_user(app, error),
        CreateLinkError::Suspended => ApiError::conflicting_state(
            "the user is suspended, and the profile would open nothing: resume the user with PATCH and `active: true` first",
        ),
        CreateLinkError::Expired { at } => ApiError::conflicting_state(format!(
            "the access of the user ended at {}, and the profile would open nothing: set another `expires_at` first",
            at.format("%Y-%m-%dT%H:%M:%SZ")
        )),
        CreateLinkError::NoProfile(error) => of_fetch_profile(app, error),
        CreateLinkError::Database(error) => database(app, error),
    }
}

pub(super) fn of_revoke_link(app: &App, error: RevokeLinkError) -> ApiError {
    match error {
        RevokeLinkError::UnknownUser => unknown_user(),
        RevokeLinkError::UnknownLink => ApiError::not_found("the user has no such link"),
        RevokeLinkError::Database(error) => database(app, error),
    }
}

/// A key of the right form that is no key: whoever sends it proves nothing.
pub(super) fn of_bus_key(error: InvalidKey) -> ApiError {
    ApiError::unproven("bus_public_key", error.to_string())
}

pub(super) fn of_register_node(app: &App, error: RegisterNodeError) -> ApiError {
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
        RegisterNodeError::Csr(error) => match error {
            PkiError::InvalidCsr(reason) => ApiError::invalid("csr", reason.to_string()),
            PkiError::Sign(_) | PkiError::Interrupted => ApiError::internal(error),
        },
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

pub(super) fn of_revoke_join_token(app: &App, error: RevokeJoinTokenError) -> ApiError {
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

pub(super) fn of_change_node(app: &App, error: ChangeNodeError) -> ApiError {
    match error {
        ChangeNodeError::UnknownServer => unknown_server(),
        ChangeNodeError::NowhereToGo => ApiError::conflicting_state(
            "no other server of the pool can take its clients, each is disabled, draining, leaving or lost: enable or add one first",
        ),
        ChangeNodeError::Database(error) => database(app, error),
    }
}

pub(super) fn of_move_node(app: &App, error: MoveNodeError) -> ApiError {
    match error {
        MoveNodeError::UnknownServer => unknown_server(),
        MoveNodeError::NowhereToGo { pool } => ApiError::conflicting_state(format!(
            "no other server of the pool {pool} can take the users of this one, each is disabled, draining, leaving or lost: enable or add one \
             first"
        )),
        MoveNodeError::Database(error) => database(app, error),
    }
}

pub(super) fn of_create_pool(app: &App, error: CreatePoolError) -> ApiError {
    match error {
        CreatePoolError::NameTaken => ApiError::conflict("name", error.to_string()),
        CreatePoolError::Swallowed(swallowed) => of_swallowed(&swallowed),
        CreatePoolError::Database(error) => database(app, error),
    }
}

pub(super) fn of_change_pool(app: &App, error: ChangePoolError) -> ApiError {
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

pub(super) fn of_remove_pool(app: &App, error: RemovePoolError) -> ApiError {
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

/// So many of these.
fn counted(number: i64, one: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        _ => format!("{number} {one}s"),
    }
}

pub(super) fn of_end_session(app: &App, error: EndSessionError) -> ApiError {
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

pub(super) fn of_tell_standing(app: &App, error: TellStandingError) -> ApiError {
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

pub(super) fn of_deregister_node(app: &App, error: DeregisterNodeError) -> ApiError {
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
