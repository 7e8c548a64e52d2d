//! Removing a user: revoked here in one transaction, gone when the last node acked.

use chrono::Utc;
use sea_orm::{
    ActiveModelTrait,
    ActiveValue::Set,
    DatabaseTransaction, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QuerySelect, TransactionTrait,
    sea_query::{Expr, ExprTrait},
};
use vpnmanager_entities::{credential, placement, user};
use vpnmanager_nats::username::Username;

use super::{
    audit::{self, Entry},
    change_user::want_revision,
    read_users::{self, UserView},
    retry::{self, FromDatabase},
};
use crate::{app::App, domain::actor::Actor};

/// Why a user was not removed.
#[derive(Debug, thiserror::Error)]
pub enum RemoveUserError {
    /// No living user has the name.
    #[error("there is no such user")]
    UnknownUser,
    /// The database did not do it.
    #[error("recording the removal failed")]
    Database(#[source] DbErr),
}

impl From<DbErr> for RemoveUserError {
    fn from(error: DbErr) -> Self {
        Self::Database(error)
    }
}

impl FromDatabase for RemoveUserError {
    fn database(&self) -> Option<&DbErr> {
        match self {
            Self::Database(error) => Some(error),
            Self::UnknownUser => None,
        }
    }
}

/// Revokes every credential of a living user and has all its nodes forget it.
///
/// # Errors
/// See [`RemoveUserError`].
pub async fn remove_user(app: &App, actor: &Actor, username: &Username) -> Result<UserView, RemoveUserError> {
    let view = retry::on_conflict(|| async {
        let transaction = app.db.begin().await?;
        let found = user::Entity::find_living_by_username(username.as_str())
            .lock_exclusive()
            .one(&transaction)
            .await?;
        let before = found.ok_or(RemoveUserError::UnknownUser)?;
        let view = remove_within(&transaction, &app.settings.server_id, actor, before).await?;
        transaction.commit().await?;
        Ok::<_, RemoveUserError>(view)
    })
    .await?;
    app.publisher.wake();
    Ok(view)
}

/// The same within a transaction that holds the user's row.
///
/// # Errors
/// When the database does not answer.
pub async fn remove_within(
    transaction: &DatabaseTransaction,
    recorder: &str,
    actor: &Actor,
    before: user::Model,
) -> Result<UserView, DbErr> {
    let now = Utc::now();
    let revision = before.revision + 1;
    let mut row = before.clone().into_active_model();
    row.removed_at = Set(Some(now));
    row.revision = Set(revision);
    row.synced = Set(false);
    let after = row.update(transaction).await?;

    credential::Entity::update_many()
        .col_expr(credential::Column::RevokedAt, Expr::value(now))
        .filter(Expr::col(credential::Column::UserId).eq(after.id))
        .filter(Expr::col(credential::Column::RevokedAt).is_null())
        .exec(transaction)
        .await?;
    placement::Entity::update_many()
        .col_expr(placement::Column::WantedPresent, Expr::value(false))
        .filter(Expr::col(placement::Column::UserId).eq(after.id))
        .exec(transaction)
        .await?;
    want_revision(transaction, after.id, revision).await?;
    let entry = Entry {
        actor,
        action: "user_removed",
        username: Some(after.username.clone()),
        server_id: recorder.to_owned(),
        details: None,
        before: Some(audit::snapshot(&before)),
        after: None,
    };
    audit::record(transaction, entry).await?;

    let id = after.id;
    let view = read_users::with_placements(transaction, vec![after.clone()])
        .await?
        .into_iter()
        .next();
    let view = view.unwrap_or(UserView {
        user: after,
        placements: Vec::new(),
    });
    if view.placements.is_empty() {
        // No node holds it, so no ack will come to end it.
        user::Entity::delete_by_id(id).exec(transaction).await?;
    }
    Ok(view)
}
