//! One entry of a list of changes. A list may be sent again: what is done is not done twice.

use chrono::SubsecRound;
use sea_orm::DbErr;
use vpnmanager_entities::user;
use vpnmanager_nats::username::Username;

use crate::{
    app::App,
    domain::{actor::Actor, own_limits::OwnLimits, own_rules::own_rules_of, placement::Home},
    ops::scope::{narrow, sees_user},
    ops::users::{
        change::{ChangeUserError, UserChange, change_user_where_needed},
        create::{CreateUserError, NewUser},
        create_user::{CreateOneError, create_user},
        locked::LivingUserError,
        reissue::{Reissue, ReissueError, reissue_where_needed},
        remove::remove_user,
    },
};

/// What should become of a user.
#[derive(Debug, Clone)]
pub enum UserOperation {
    /// There should be this user.
    Create(NewUser),
    /// The user should be changed.
    Change {
        /// The user.
        username: Username,
        /// What to change.
        change: UserChange,
    },
    /// Devices of the user should have new profiles.
    Reissue {
        /// The user.
        username: Username,
        /// Which devices, and how.
        reissue: Reissue,
    },
    /// The user should be removed.
    Remove {
        /// The user.
        username: Username,
    },
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The user was created.
    Created,
    /// The user was changed.
    Changed,
    /// Devices of the user get new profiles.
    Reissued,
    /// The user was removed.
    Removed,
    /// All was as it should be.
    Unchanged,
}

/// Why it was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum UserOperationError {
    /// The user was not created.
    #[error("creating the user failed")]
    Create(#[source] CreateOneError),
    /// The user was not changed.
    #[error("changing the user failed")]
    Change(#[source] ChangeUserError),
    /// No new profiles were asked for.
    #[error("asking for new profiles of the user failed")]
    Reissue(#[source] ReissueError),
    /// The user was not removed.
    #[error("removing the user failed")]
    Remove(#[source] LivingUserError),
}

/// Does what the operation for one user does. A create of a user who is there exactly as wanted changes nothing; one who is there in another
/// way is an error, as for one user.
pub async fn carry_out(app: &App, actor: &Actor, operation: UserOperation) -> Result<Outcome, UserOperationError> {
    match operation {
        UserOperation::Create(new) => create(app, new).await,
        UserOperation::Change { username, change } => {
            let seen = seen(app, actor, &username).await;
            seen.map_err(|error| UserOperationError::Change(error.into()))?;
            let changed = change_user_where_needed(app, actor, &username, change).await;
            let changed = changed.map_err(UserOperationError::Change)?;
            Ok(if changed.differs {
                Outcome::Changed
            } else {
                Outcome::Unchanged
            })
        }
        UserOperation::Reissue { username, reissue } => {
            let seen = seen(app, actor, &username).await;
            seen.map_err(|error| UserOperationError::Reissue(error.into()))?;
            let reissued = reissue_where_needed(app, actor, &username, &reissue).await;
            let reissued = reissued.map_err(UserOperationError::Reissue)?;
            Ok(if reissued.differs {
                Outcome::Reissued
            } else {
                Outcome::Unchanged
            })
        }
        UserOperation::Remove { username } => {
            let seen = seen(app, actor, &username).await;
            seen.map_err(UserOperationError::Remove)?;
            let removed = remove_user(app, actor, &username).await;
            removed
                .map(|_view| Outcome::Removed)
                .map_err(UserOperationError::Remove)
        }
    }
}

/// Who is outside of the key of the caller is not there for it.
async fn seen(app: &App, actor: &Actor, username: &Username) -> Result<(), LivingUserError> {
    match sees_user(&app.db, &actor.scope, username).await? {
        true => Ok(()),
        false => Err(LivingUserError::UnknownUser),
    }
}

async fn create(app: &App, new: NewUser) -> Result<Outcome, UserOperationError> {
    let Err(refusal) = create_user(app, &new).await else {
        return Ok(Outcome::Created);
    };
    if may_be_there(&refusal) {
        let is_there = is_there(app, &new).await.map_err(CreateUserError::from);
        if is_there.map_err(|error| UserOperationError::Create(error.into()))? {
            return Ok(Outcome::Unchanged);
        }
    }
    Err(UserOperationError::Create(refusal))
}

/// Whether the user who was not created may be there exactly as wanted. Who is there stays so, also while the server takes no more users, and
/// nobody else may get such own rules.
fn may_be_there(refusal: &CreateOneError) -> bool {
    match refusal {
        CreateOneError::OwnGroup(_)
        | CreateOneError::User(
            CreateUserError::UsernameTaken
            | CreateUserError::UnknownServer
            | CreateUserError::ServerInOtherPool { .. }
            | CreateUserError::ServerUnavailable
            | CreateUserError::ServerLost { .. }
            | CreateUserError::NoServer { .. },
        ) => true,
        // Nobody is in a group that there is not, and nobody is told who is where its key does not reach.
        CreateOneError::Beyond(_)
        | CreateOneError::User(
            CreateUserError::UnknownGroup(_)
            | CreateUserError::LacksOwnGroup(_)
            | CreateUserError::Database(_)
            | CreateUserError::Stopping,
        ) => false,
    }
}

/// Whether there is a living user with all that is wanted. Of one whom the caller does not see it learns that the name is taken, and no more.
async fn is_there(app: &App, wanted: &NewUser) -> Result<bool, DbErr> {
    let living = user::Entity::find_living_by_username(&wanted.username);
    let found = narrow(living, &wanted.actor.scope).one(&app.db).await?;
    Ok(found.is_some_and(|user| is_as_wanted(&user, wanted)))
}

/// An end that is not said is not compared: it was what the group said then, which may be something else now.
fn is_as_wanted(user: &user::Model, wanted: &NewUser) -> bool {
    let has_home = match &wanted.home {
        Home::Any => true,
        Home::Named(node) | Home::Asking(node) => user.server_id == *node,
    };
    // PostgreSQL keeps microseconds.
    let wanted_end = wanted.expires_at.map(|end| end.map(|at| at.trunc_subsecs(6)));
    let has_end = wanted_end.is_none_or(|end| user.expires_at == end);
    let has_limits = OwnLimits::of(user) == wanted.limits && own_rules_of(user) == wanted.rules.clone().sorted();
    has_home && has_end && has_limits && user.group_name == wanted.group && user.active == wanted.active
}
