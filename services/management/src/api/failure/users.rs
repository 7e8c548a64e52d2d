//! The errors of operations on users, their devices and links as HTTP problems.

use vpnmanager_nats::device::{DeviceName, MOST_DEVICES};
use vpnmanager_openapi::problem::ApiError;
use vpnmanager_runtime::error_chain::chain;
use vpnmanager_runtime::log_limit::LogLimit;

use super::{database, groups::of_own_group, keys::beyond, stopping};
use crate::{
    app::App,
    domain::shown_time::shown_time,
    ops::{
        devices::{DeviceError, create::CreateDeviceError, limit::BeyondLimit},
        links::{create::CreateLinkError, revoke::RevokeLinkError},
        quotas::forgive::ForgiveTrafficError,
        users::{
            change::ChangeUserError, create::CreateUserError, create_user::CreateOneError,
            fetch_profile::FetchProfileError, locked::LivingUserError, operation::UserOperationError,
            reissue::ReissueError,
        },
    },
};

static NO_PROFILE: LogLimit = LogLimit::lines("a node failed to send a profile", 5);
static UNFIT_DIRECTIVE: LogLimit = LogLimit::lines("an extra line of profiles is not taken", 5);

/// How a device gets another profile.
const REISSUE: &str = "POST /api/users/{username}/devices/{device}/reissue creates a new profile";

pub(in crate::api) fn unknown_user() -> ApiError {
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

fn beyond_limit(beyond: &BeyondLimit) -> ApiError {
    ApiError::conflicting_state(match beyond {
        BeyondLimit::Own { allowed, held } => format!(
            "the most devices that the user is allowed is {allowed}, and it has {held}: revoke one first, or raise or take away \
             `limits.devices` of the user"
        ),
        BeyondLimit::OfGroup { group, allowed, held } => format!(
            "the most devices that the group {group} allows is {allowed}, and the user has {held}: revoke one first, give the user \
             `limits.devices` of its own, put it into another group, or raise `devices` of the group"
        ),
    })
}

pub(in crate::api) fn of_create_one(app: &App, error: CreateOneError) -> ApiError {
    match error {
        CreateOneError::User(error) => of_create_user(app, error),
        CreateOneError::OwnGroup(error) => of_own_group(app, error),
        CreateOneError::Beyond(error) => beyond(&error),
    }
}

/// Somebody removed the group for its own values, as unused, each time that it was made.
fn lacks_own_group() -> ApiError {
    ApiError::unavailable("others change groups at this moment, and so what the user's own values need; try again")
}

fn of_create_user(app: &App, error: CreateUserError) -> ApiError {
    match error {
        CreateUserError::UsernameTaken => ApiError::conflict("username", "is taken"),
        CreateUserError::UnknownGroup(_) => ApiError::conflict("group", error.to_string()),
        CreateUserError::LacksOwnGroup(_) => lacks_own_group(),
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

pub(in crate::api) fn of_living_user(app: &App, error: LivingUserError) -> ApiError {
    match error {
        LivingUserError::UnknownUser => unknown_user(),
        LivingUserError::Database(error) => database(app, error),
    }
}

pub(in crate::api) fn of_change_user(app: &App, error: ChangeUserError) -> ApiError {
    match error {
        ChangeUserError::User(error) => of_living_user(app, error),
        ChangeUserError::UnknownGroup(_) => ApiError::conflict("group", error.to_string()),
        ChangeUserError::LacksOwnGroup(_) => lacks_own_group(),
        ChangeUserError::OwnGroup(error) => of_own_group(app, error),
        ChangeUserError::Beyond(error) => beyond(&error),
        ChangeUserError::Database(error) => database(app, error),
    }
}

pub(in crate::api) fn of_reissue(app: &App, error: ReissueError) -> ApiError {
    match error {
        ReissueError::User(error) => of_living_user(app, error),
        ReissueError::UnknownDevice(device) => unknown_device(&device),
        ReissueError::TooManyDevices => too_many_devices(),
        ReissueError::BeyondLimit(beyond) => beyond_limit(&beyond),
        ReissueError::Database(error) => database(app, error),
    }
}

pub(in crate::api) fn of_create_device(app: &App, error: CreateDeviceError) -> ApiError {
    match error {
        CreateDeviceError::User(error) => of_living_user(app, error),
        CreateDeviceError::NameTaken(_) | CreateDeviceError::LikeDefault => {
            ApiError::conflict("name", error.to_string())
        }
        CreateDeviceError::TooManyDevices => too_many_devices(),
        CreateDeviceError::BeyondLimit(beyond) => beyond_limit(&beyond),
        CreateDeviceError::Database(error) => database(app, error),
    }
}

pub(in crate::api) fn of_device(app: &App, error: DeviceError) -> ApiError {
    match error {
        DeviceError::User(error) => of_living_user(app, error),
        DeviceError::UnknownDevice(device) => unknown_device(&device),
        DeviceError::Database(error) => database(app, error),
    }
}

pub(in crate::api) fn of_forgive_traffic(app: &App, error: ForgiveTrafficError) -> ApiError {
    match error {
        ForgiveTrafficError::User(error) => of_living_user(app, error),
        ForgiveTrafficError::NoQuota(_) => {
            ApiError::conflicting_state(format!("{error}, so there is nothing to forgive"))
        }
        ForgiveTrafficError::Database(error) => database(app, error),
    }
}

/// As for one user.
pub(in crate::api) fn of_user_operation(app: &App, error: UserOperationError) -> ApiError {
    match error {
        UserOperationError::Create(error) => of_create_one(app, error),
        UserOperationError::Change(error) => of_change_user(app, error),
        UserOperationError::Reissue(error) => of_reissue(app, error),
        UserOperationError::Remove(error) => of_living_user(app, error),
    }
}

pub(in crate::api) fn of_fetch_profile(app: &App, error: FetchProfileError) -> ApiError {
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
            shown_time(at)
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
        FetchProfileError::Directive { pool, source } => {
            if let Some(times) = UNFIT_DIRECTIVE.admit() {
                tracing::warn!(pool.name = %pool, error = %chain(&source), times, "An extra line of profiles is not taken by this release");
            }
            // Another replica may be of the release that stored it.
            ApiError::unavailable(format!(
                "the pool {pool} has an extra line of profiles that this release of management does not take: update all replicas, or set \
                 client_directives of the pool anew. {}",
                chain(&source)
            ))
        }
        FetchProfileError::Compose(_) => ApiError::internal(error),
        FetchProfileError::Database(error) => database(app, error),
    }
}

pub(in crate::api) fn of_create_link(app: &App, error: CreateLinkError) -> ApiError {
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
            shown_time(at)
        )),
        CreateLinkError::NoProfile(error) => of_fetch_profile(app, error),
        CreateLinkError::Database(error) => database(app, error),
    }
}

pub(in crate::api) fn of_revoke_link(app: &App, error: RevokeLinkError) -> ApiError {
    match error {
        RevokeLinkError::UnknownUser => unknown_user(),
        RevokeLinkError::UnknownLink => ApiError::not_found("the user has no such link"),
        RevokeLinkError::Database(error) => database(app, error),
    }
}
