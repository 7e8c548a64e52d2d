//! Forgives a user what it used of its quota so far in this period.

use sea_orm::{ActiveModelTrait as _, ActiveValue::Set, DbErr, IntoActiveModel as _};
use vpnmanager_nats::{groups::GroupName, username::Username};

use super::{
    judge::in_words,
    read::{Forgivable, read_forgivable},
};
use crate::{
    app::App,
    domain::{actor::Actor, audit_action::AuditAction},
    ops::{
        audit::{self, Entry, user_snapshot},
        in_turn::transact_on_user,
        publications::make_due::{Urgency, want_newest},
        users::{
            locked::{LivingUserError, locked_user},
            read::{self, UserView},
        },
    },
};

/// Why nothing was forgiven.
#[derive(Debug, thiserror::Error)]
pub enum ForgiveTrafficError {
    /// The user could not be read.
    #[error(transparent)]
    User(#[from] LivingUserError),
    /// There is nothing to forgive.
    #[error("the group {0} has no quota, and the user has none of its own")]
    NoQuota(GroupName),
    /// The database failed.
    #[error("recording what is forgiven failed")]
    Database(#[from] DbErr),
}

/// The user has its whole quota again for the rest of the period, and access if it was over it. The trail warns again when most of it is used.
/// Changes nothing where nothing was used.
pub async fn forgive_traffic(app: &App, actor: &Actor, username: &Username) -> Result<UserView, ForgiveTrafficError> {
    let view = transact_on_user(app, username, |tx| async move {
        let before = locked_user(&tx, username).await?;
        let forgivable = read_forgivable(&*tx, &before).await?;
        let Some(Forgivable {
            counted,
            reported,
            today,
        }) = forgivable
        else {
            return Err(ForgiveTrafficError::NoQuota(before.group_name));
        };
        let is_over = before.over_quota_since.is_some();
        if counted.used == 0 && !is_over {
            return Ok(read::view(&*tx, before).await?);
        }
        let mut row = before.clone().into_active_model();
        row.traffic_forgiven = Set(reported);
        row.forgiven_on = Set(Some(today));
        row.quota_warned_from = Set(None);
        if is_over {
            row.over_quota_since = Set(None);
            row.revision = Set(before.revision + 1);
            row.synced = Set(false);
        }
        let after = row.update(&*tx).await?;
        if is_over {
            want_newest(&*tx, &[after.id], Urgency::Ordinary).await?;
        }
        let entry = Entry::new(actor, AuditAction::UserQuotaLifted, &app.config.server_id)
            .about(&after.username)
            .details(format!("forgiven: {}", in_words(&counted)))
            .before(user_snapshot(&before))
            .after(user_snapshot(&after));
        audit::record_one(&tx, entry).await?;
        Ok::<_, ForgiveTrafficError>(read::view(&*tx, after).await?)
    })
    .await?;
    app.wake_publishers();
    Ok(view)
}
