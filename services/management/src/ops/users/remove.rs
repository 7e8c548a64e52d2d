//! Removes a user: one transaction revokes its credentials; its row is deleted when the last node has acked.

use chrono::Utc;
use sea_orm::{ActiveModelTrait, ActiveValue::Set, DatabaseTransaction, DbErr, IntoActiveModel};
use vpnmanager_entities::user;
use vpnmanager_nats::username::Username;
use vpnmanager_runtime::traces;

use crate::{
    app::App,
    domain::{actor::Actor, audit_action::AuditAction},
    ops::{
        audit::{self, Entry, user_snapshot},
        credentials::revoke::revoke_all,
        in_turn::transact_on_user,
        old_certificates::revoke::revoke_of_user,
        publications::make_due::{Urgency, want_newest},
        users::{
            end_removals::end_removals,
            locked::{LivingUserError, locked_user},
            read::{self, UserView},
        },
    },
};

/// Revokes all credentials of a living user, and makes its nodes remove it.
pub async fn remove_user(app: &App, actor: &Actor, username: &Username) -> Result<UserView, LivingUserError> {
    let view = transact_on_user(app, username, |tx| async move {
        let before = locked_user(&tx, username).await?;
        Ok::<_, LivingUserError>(remove_within(&tx, &app.config.server_id, actor, before).await?)
    })
    .await?;
    app.user_traces.remember(view.user.key, traces::current());
    app.wake_publishers();
    Ok(view)
}

/// Like [`remove_user`], within a transaction that has locked the user's row.
pub async fn remove_within(
    transaction: &DatabaseTransaction,
    recorder: &str,
    actor: &Actor,
    before: user::Model,
) -> Result<UserView, DbErr> {
    let revision = before.revision + 1;
    let mut row = before.clone().into_active_model();
    row.removed_at = Set(Some(Utc::now()));
    row.revision = Set(revision);
    row.synced = Set(false);
    let after = row.update(transaction).await?;

    revoke_all(transaction, after.id).await?;
    revoke_of_user(transaction, after.id).await?;
    want_newest(transaction, &[after.id], Urgency::EndsAccess).await?;
    let entry = Entry::new(actor, AuditAction::UserRemoved, recorder)
        .about(&after.username)
        .before(user_snapshot(&before));
    audit::record_one(transaction, entry).await?;

    let id = after.id;
    let view = read::view(transaction, after).await?;
    if view.placements.is_empty() {
        // No node holds it, so no ack will come to end it.
        end_removals(transaction, &[id], recorder).await?;
    }
    Ok(view)
}
