//! Changing a user: suspend, resume, another expiry.

use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::{
    ActiveModelTrait,
    ActiveValue::Set,
    DatabaseTransaction, DbErr, EntityTrait, IntoActiveModel, QueryFilter,
    sea_query::{Expr, ExprTrait},
};
use vpnmanager_entities::{placement, user};
use vpnmanager_nats::username::Username;

use crate::ops::{
    audit::{self, Entry},
    transact::transact,
    users::{
        locked::{LivingUserError, lock_living},
        read::{self, UserView},
    },
};
use crate::{app::App, domain::actor::Actor};

/// What to change; a field that is not given stays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UserChange {
    /// `false` suspends, `true` resumes with the same profile.
    pub active: Option<bool>,
    /// Another end of access, or none.
    pub expires_at: Option<Option<DateTime<Utc>>>,
}

/// Changes a living user. A change that changes nothing leaves revision and audit trail alone.
///
/// # Errors
/// See [`LivingUserError`].
pub async fn change_user(
    app: &App,
    actor: &Actor,
    username: &Username,
    change: UserChange,
) -> Result<UserView, LivingUserError> {
    let view = transact(&app.db, |tx| async move {
        let before = lock_living(&tx, username).await?;
        let user = apply(app, &tx, actor, before, change).await?;
        Ok::<_, LivingUserError>(read::view(&*tx, user).await?)
    })
    .await?;
    app.publisher.wake();
    Ok(view)
}

async fn apply(
    app: &App,
    transaction: &DatabaseTransaction,
    actor: &Actor,
    before: user::Model,
    change: UserChange,
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
    want_revision(transaction, after.id, revision).await?;
    let action = match (before.active, active) {
        (true, false) => "user_suspended",
        (false, true) => "user_resumed",
        (true, true) | (false, false) => "user_changed",
    };
    let entry = Entry {
        actor,
        action,
        username: Some(after.username.clone()),
        server_id: app.config.server_id.clone(),
        details: None,
        before: Some(audit::snapshot(&before)),
        after: Some(audit::snapshot(&after)),
    };
    audit::record(transaction, entry).await?;
    Ok(after)
}

/// Makes every placement of the user want this revision, to be published at once.
///
/// # Errors
/// When the database does not answer.
pub async fn want_revision(transaction: &DatabaseTransaction, user_id: i64, revision: i64) -> Result<(), DbErr> {
    placement::Entity::update_many()
        .col_expr(placement::Column::WantedRevision, Expr::value(revision))
        .col_expr(placement::Column::LeaseUntil, Expr::cust("'epoch'"))
        .col_expr(placement::Column::Attempts, Expr::value(0))
        .filter(Expr::col(placement::Column::UserId).eq(user_id))
        .exec(transaction)
        .await
        .map(drop)
}
