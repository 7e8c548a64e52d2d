//! Changes a user: suspends, resumes, changes the expiry.

use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, DatabaseTransaction, DbErr, IntoActiveModel};
use vpnmanager_entities::user;
use vpnmanager_nats::username::Username;

use crate::{
    app::App,
    domain::{actor::Actor, audit_action::AuditAction},
    ops::{
        audit::{self, Entry, user_snapshot},
        publications::make_due::{Urgency, want_newest},
        transact::transact,
        users::{
            locked::{LivingUserError, locked_user},
            read::{self, UserView},
        },
    },
};

/// What to change; a field that is `None` keeps its value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserChange {
    /// `false` suspends, `true` resumes with the same profile.
    pub active: Option<bool>,
    /// When access ends; `Some(None)`: it does not end by itself.
    pub expires_at: Option<Option<DateTime<Utc>>>,
}

/// A user after a change.
#[derive(Debug, Clone)]
pub struct Changed {
    /// The user.
    pub view: UserView,
    /// Whether anything is another than before.
    pub differs: bool,
}

/// Changes a living user. If all values are the same already, neither the revision nor the audit trail changes.
pub async fn change_user(
    app: &App,
    actor: &Actor,
    username: &Username,
    change: UserChange,
) -> Result<UserView, LivingUserError> {
    let changed = change_user_where_needed(app, actor, username, change).await?;
    Ok(changed.view)
}

/// Like [`change_user`], and says whether there was something to change.
pub async fn change_user_where_needed(
    app: &App,
    actor: &Actor,
    username: &Username,
    change: UserChange,
) -> Result<Changed, LivingUserError> {
    let change = &change;
    let changed = transact(&app.db, |tx| async move {
        let before = locked_user(&tx, username).await?;
        let revision = before.revision;
        let user = apply(app, &tx, actor, before, change).await?;
        let differs = user.revision != revision;
        let view = read::view(&*tx, user).await?;
        Ok::<_, LivingUserError>(Changed { view, differs })
    })
    .await?;
    app.wake_publishers();
    Ok(changed)
}

async fn apply(
    app: &App,
    transaction: &DatabaseTransaction,
    actor: &Actor,
    before: user::Model,
    change: &UserChange,
) -> Result<user::Model, DbErr> {
    let active = change.active.unwrap_or(before.active);
    let expires_at = change
        .expires_at
        .map_or(before.expires_at, |at| at.map(|at| at.trunc_subsecs(6)));
    if (active, expires_at) == (before.active, before.expires_at) {
        return Ok(before);
    }
    let revision = before.revision + 1;
    let mut row = before.clone().into_active_model();
    row.active = Set(active);
    row.expires_at = Set(expires_at);
    row.revision = Set(revision);
    row.synced = Set(false);
    let after = row.update(transaction).await?;
    want_newest(transaction, &[after.id], urgency(&before, &after)).await?;
    let action = match (before.active, active) {
        (true, false) => AuditAction::UserSuspended,
        (false, true) => AuditAction::UserResumed,
        (true, true) | (false, false) => AuditAction::UserChanged,
    };
    let entry = Entry::new(actor, action, &app.config.server_id)
        .about(&after.username)
        .before(user_snapshot(&before))
        .after(user_snapshot(&after));
    audit::record_one(transaction, entry).await?;
    Ok(after)
}

/// Urgent when the user may do less than before, or for a shorter time.
fn urgency(before: &user::Model, after: &user::Model) -> Urgency {
    let is_suspended = before.active && !after.active;
    let ends_earlier = match (before.expires_at, after.expires_at) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(before), Some(after)) => after < before,
    };
    if is_suspended || ends_earlier {
        Urgency::EndsAccess
    } else {
        Urgency::Ordinary
    }
}
