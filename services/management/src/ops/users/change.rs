//! Changes a user: suspends, resumes, changes the expiry or its own values, puts it into another group.

use std::collections::BTreeSet;

use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, DatabaseTransaction, DbErr, EntityTrait, IntoActiveModel};
use tracing::warn;
use vpnmanager_entities::{group, user};
use vpnmanager_nats::{groups::GroupName, username::Username};
use vpnmanager_runtime::{log_limit::LogLimit, traces};

use crate::{
    app::App,
    domain::{
        actor::Actor,
        audit_action::AuditAction,
        end_of_access::ends_earlier,
        own_limits::{OwnLimits, OwnLimitsChange},
        own_rules::{OwnGroup, OwnRulesChange, own_rules_of},
    },
    ops::{
        audit::{self, Entry, user_snapshot},
        groups::{
            check::check_own_rules,
            ensure_own::{LacksOwnGroup, OwnGroupError, with_own_group},
            hold::{hold_groups, hold_own_groups},
        },
        in_turn::transact_on_user,
        publications::make_due::{Urgency, want_newest},
        quotas::{judge::judge_users, keep_forgiven::keep_forgiven},
        scope::BeyondScope,
        users::{
            locked::{LivingUserError, locked_user},
            own_limits::{set_own_group, set_own_limits},
            read::{self, UserView},
        },
    },
};

static NOT_JUDGED: LogLimit = LogLimit::new("judging users by their new quotas failed");

/// What to change; a field that is `None` keeps its value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserChange {
    /// `false` suspends, `true` resumes with the same profile.
    pub active: Option<bool>,
    /// When access ends; `Some(None)`: it does not end by itself.
    pub expires_at: Option<Option<DateTime<Utc>>>,
    /// The group that it is in. The user stays in its pool, keeps its devices, and its access ends when it did.
    pub group: Option<GroupName>,
    /// Own values for what management holds the user to. Fewer devices take none from it; fewer sessions end those that are more within 10 s.
    pub limits: OwnLimitsChange,
    /// Own values for what nodes hold the user to.
    pub rules: OwnRulesChange,
}

/// Why a user was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeUserError {
    /// The user could not be read.
    #[error(transparent)]
    User(#[from] LivingUserError),
    /// There is no such group.
    #[error("there is no group {0}")]
    UnknownGroup(GroupName),
    /// The group that stands for the own rules is not there.
    #[error("the group for the own values of the user is not there")]
    LacksOwnGroup(Box<OwnGroup>),
    /// Nobody can have such own rules.
    #[error(transparent)]
    OwnGroup(#[from] OwnGroupError),
    /// Who asked may put nobody into that group.
    #[error(transparent)]
    Beyond(#[from] BeyondScope),
    /// The database failed.
    #[error("recording the change failed")]
    Database(#[from] DbErr),
}

impl LacksOwnGroup for ChangeUserError {
    fn lacking(&self) -> Option<&OwnGroup> {
        match self {
            Self::LacksOwnGroup(lacking) => Some(lacking),
            Self::User(_) | Self::UnknownGroup(_) | Self::OwnGroup(_) | Self::Beyond(_) | Self::Database(_) => None,
        }
    }
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
) -> Result<UserView, ChangeUserError> {
    let changed = change_user_where_needed(app, actor, username, change).await?;
    Ok(changed.view)
}

/// Like [`change_user`], and says whether there was something to change.
pub async fn change_user_where_needed(
    app: &App,
    actor: &Actor,
    username: &Username,
    change: UserChange,
) -> Result<Changed, ChangeUserError> {
    if let Some(group) = &change.group
        && !actor.scope.has_group(group.as_str())
    {
        return Err(BeyondScope::Group(group.clone()).into());
    }
    let changed = with_own_group(app, || record(app, actor, username, &change)).await?;
    app.user_traces.remember(changed.view.user.key, traces::current());
    app.wake_publishers();
    // Also where it is the same: whoever asks again, after the judgement was lost with a replica, gets it.
    if change.group.is_none() && change.limits.quota.is_none() {
        return Ok(changed);
    }
    let Changed { view, differs } = changed;
    let view = judge_changed(app, view).await;
    Ok(Changed { view, differs })
}

async fn record(
    app: &App,
    actor: &Actor,
    username: &Username,
    change: &UserChange,
) -> Result<Changed, ChangeUserError> {
    transact_on_user(app, username, |tx| async move {
        let before = locked_user(&tx, username).await?;
        let revision = before.revision;
        let user = apply(app, &tx, actor, before, change).await?;
        let differs = user.revision != revision;
        let view = read::view(&*tx, user).await?;
        Ok::<_, ChangeUserError>(Changed { view, differs })
    })
    .await
}

/// Judges a user by the quota that it has just got, by itself or with another group, in a transaction of its own: the placements of a user change
/// once in each (`want_newest`). The change is made, whatever becomes of this: when it fails, the review of quotas judges the user.
async fn judge_changed(app: &App, view: UserView) -> UserView {
    match judged(app, view.user.id).await {
        Ok(Some(judged)) => judged,
        Ok(None) => view,
        Err(error) => {
            if let Some(times) = NOT_JUDGED.admit() {
                warn!(
                    user.name = %view.user.username,
                    error = app.reach.explain_any(&error),
                    times,
                    "Judging a user by its new quota failed, the next review judges it"
                );
            }
            app.unjudged.note([view.user.id]);
            app.quotas.wake();
            view
        }
    }
}

/// The user after it was judged; `None`: there was nothing to do, or it was removed meanwhile.
async fn judged(app: &App, id: i64) -> Result<Option<UserView>, DbErr> {
    if !judge_users(app, &[id]).await? {
        return Ok(None);
    }
    match user::Entity::find_by_id(id).one(&app.db).await? {
        Some(user) => read::view(&app.db, user).await.map(Some),
        None => Ok(None),
    }
}

async fn apply(
    app: &App,
    transaction: &DatabaseTransaction,
    actor: &Actor,
    before: user::Model,
    change: &UserChange,
) -> Result<user::Model, ChangeUserError> {
    let active = change.active.unwrap_or(before.active);
    let expires_at = change
        .expires_at
        .map_or(before.expires_at, |at| at.map(|at| at.trunc_subsecs(6)));
    let held = OwnLimits::of(&before);
    let limits = held.changed(change.limits);
    let group = other_group(transaction, &before, change).await?;
    let stored = own_rules_of(&before);
    // What is there stays, also when a node has come since whose address is in it.
    let said = change.rules.other_lists(&stored);
    check_own_rules(app, transaction, &said)
        .await
        .map_err(OwnGroupError::from)?;
    let base = group.as_ref().map_or(&before.group_name, |group| &group.name);
    let own_group = OwnGroup::of(base, &change.rules.applied_to(stored));
    let has_other_rules = own_group.as_ref().map(|own| &own.name) != before.own_group.as_ref();
    let has_same_values = (active, expires_at, limits) == (before.active, before.expires_at, held);
    if has_same_values && group.is_none() && !has_other_rules {
        return Ok(before);
    }
    if has_other_rules {
        hold_own_group(transaction, own_group.as_ref()).await?;
    }
    let revision = before.revision + 1;
    let mut row = before.clone().into_active_model();
    row.active = Set(active);
    row.expires_at = Set(expires_at);
    if let Some(group) = &group {
        row.group_name = Set(group.name.clone());
    }
    set_own_limits(&mut row, limits);
    set_own_group(&mut row, own_group);
    let has_other_quota = limits.quota != held.quota || (limits.quota.is_none() && group.is_some());
    if has_other_quota {
        // The trail says of each quota that most of it is used.
        row.quota_warned_from = Set(None);
    }
    row.revision = Set(revision);
    row.synced = Set(false);
    let mut after = row.update(transaction).await?;
    if has_other_quota {
        after = keep_forgiven(transaction, after).await?;
    }
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

/// The group that the user gets into; `None`: it stays where it is.
async fn other_group(
    transaction: &DatabaseTransaction,
    before: &user::Model,
    change: &UserChange,
) -> Result<Option<group::Model>, ChangeUserError> {
    let Some(name) = change.group.as_ref().filter(|name| **name != before.group_name) else {
        return Ok(None);
    };
    let mut held = hold_groups(transaction, BTreeSet::from([name.clone()])).await?;
    match held.remove(name) {
        Some(group) => Ok(Some(group)),
        None => Err(ChangeUserError::UnknownGroup(name.clone())),
    }
}

/// Keeps the group that the user gets into for its own rules until the transaction ends.
async fn hold_own_group(
    transaction: &DatabaseTransaction,
    own_group: Option<&OwnGroup>,
) -> Result<(), ChangeUserError> {
    let Some(own) = own_group else {
        return Ok(());
    };
    let held = hold_own_groups(transaction, BTreeSet::from([own.name.clone()])).await?;
    match held.contains(&own.name) {
        true => Ok(()),
        false => Err(ChangeUserError::LacksOwnGroup(Box::new(own.clone()))),
    }
}

/// Urgent when the user may do less than before, or for a shorter time. Another group always counts as less, and so do other own rules: whatever
/// the old ones allowed may not be allowed any more, or be slower. Own limits are held by management: of them a node hears only whether traffic
/// counts.
fn urgency(before: &user::Model, after: &user::Model) -> Urgency {
    let is_suspended = before.active && !after.active;
    let ends_earlier = ends_earlier(before.expires_at, after.expires_at);
    let is_moved = (&before.group_name, &before.own_group) != (&after.group_name, &after.own_group);
    if is_suspended || ends_earlier || is_moved {
        Urgency::EndsAccess
    } else {
        Urgency::Ordinary
    }
}
