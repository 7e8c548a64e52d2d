//! The errors of operations on groups as HTTP problems.

use std::time::Duration;

use vpnmanager_nats::groups::{GroupName, MOST_GROUPS};
use vpnmanager_openapi::problem::ApiError;

use super::{counted, database};
use crate::{
    api::faults::contradictory,
    app::App,
    domain::group::MOST_BYTES,
    ops::groups::{
        change::ChangeGroupError, check::CheckGroupError, create::CreateGroupError, ensure_own::OwnGroupError,
        remove::RemoveGroupError, tell::TellGroupsError,
    },
};

/// When who asks for the traffic of a group while others do may try again.
const TRAFFIC_AGAIN_AFTER: Duration = Duration::from_secs(5);

pub(in crate::api) fn unknown_group() -> ApiError {
    ApiError::not_found("there is no such group")
}

/// `from` is more days than these before `until`, both included.
pub(in crate::api) fn too_many_days(most: i64) -> ApiError {
    ApiError::conflict(
        "from",
        format!(
            "is too long before `until`: one answer has {most} days at most, both included; ask for the rest in another request"
        ),
    )
}

pub(in crate::api) fn others_ask_for_traffic() -> ApiError {
    ApiError::too_many_requests(
        "the traffic of a group is being added up for another request, and one is answered at a time: try again when that is answered",
        TRAFFIC_AGAIN_AFTER,
    )
}

pub(in crate::api) fn of_create_group(app: &App, error: CreateGroupError) -> ApiError {
    match error {
        CreateGroupError::NameTaken => ApiError::conflict("name", error.to_string()),
        CreateGroupError::NameOfOwnRules => {
            ApiError::conflict("name", format!("{error}, whom nodes know by it: choose another one"))
        }
        CreateGroupError::Check(error) => of_check(app, "", error),
        CreateGroupError::Tell(error) => of_tell(app, error),
        CreateGroupError::Database(error) => database(app, error),
    }
}

pub(in crate::api) fn of_change_group(app: &App, error: ChangeGroupError) -> ApiError {
    match error {
        ChangeGroupError::UnknownGroup => unknown_group(),
        ChangeGroupError::Check(error) => of_check(app, "", error),
        ChangeGroupError::Tell(error) => of_tell(app, error),
        ChangeGroupError::Database(error) => database(app, error),
    }
}

pub(in crate::api) fn of_remove_group(app: &App, error: RemoveGroupError) -> ApiError {
    match error {
        RemoveGroupError::UnknownGroup => unknown_group(),
        RemoveGroupError::IsDefault => {
            ApiError::conflicting_state(format!("the group {} is never deleted: {error}", GroupName::DEFAULT))
        }
        RemoveGroupError::InUse(users) => {
            let are = if users == 1 { "is" } else { "are" };
            ApiError::conflicting_state(format!(
                "{} {are} in the group: put each into another one with PATCH /api/users/{{username}}, or delete them, first",
                counted(users, "user")
            ))
        }
        RemoveGroupError::Database(error) => database(app, error),
    }
}

/// Of a user, whose requests have the rules in `limits`.
pub(super) fn of_own_group(app: &App, error: OwnGroupError) -> ApiError {
    match error {
        OwnGroupError::Check(error) => of_check(app, "limits.", error),
        OwnGroupError::Tell(error) => of_tell(app, error),
        OwnGroupError::Database(error) => database(app, error),
    }
}

/// `within` is what the request has the rules in.
fn of_check(app: &App, within: &str, error: CheckGroupError) -> ApiError {
    match error {
        CheckGroupError::UnknownPool(_) => ApiError::conflict(
            "pool",
            format!("{error}: create it with POST /api/pools, or name another one"),
        ),
        CheckGroupError::Contradictory(found) => {
            let found = found.into_iter();
            contradictory(found.map(|found| (format!("{within}{}", found.field), found.reason)))
        }
        // A route that has the right form, and would lead a way into the tunnel.
        CheckGroupError::Swallowed(swallowed) => {
            let field = format!("{within}routes.{}", swallowed.route);
            ApiError::conflict(field, swallowed.to_string())
        }
        CheckGroupError::Database(error) => database(app, error),
    }
}

fn of_tell(app: &App, error: TellGroupsError) -> ApiError {
    match error {
        TellGroupsError::TooMany { own: 0, .. } => ApiError::conflicting_state(format!(
            "there are {MOST_GROUPS} groups, and no fleet has more: delete one first"
        )),
        TellGroupsError::TooMany { groups, own } => ApiError::conflicting_state(format!(
            "there are {groups} groups, and {own} that stand for own reach, routes and speed of users, and no fleet has more than {MOST_GROUPS} \
             together: delete a group first, or give users the own values that others of their group have"
        )),
        TellGroupsError::TooLong { own } => {
            let kibibytes = MOST_BYTES / 1024;
            let or_fewer = match own {
                0 => String::new(),
                _ => format!(
                    ", or give fewer users own values: the groups that stand for these ({own}) repeat what the groups of the users say"
                ),
            };
            ApiError::conflicting_state(format!(
                "{error}, which take {kibibytes} KiB as JSON: leave some entries out, here or in another group{or_fewer}"
            ))
        }
        TellGroupsError::Database(error) => database(app, error),
    }
}
