//! Revokes one certificate of an old server: its user has moved to a profile of the fleet, or others may have its key.

use chrono::{SubsecRound, Utc};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, EntityTrait, IntoActiveModel};
use vpnmanager_entities::user;
use vpnmanager_nats::username::Username;

use super::{
    OldCertificateError,
    locked::{Named, locked},
};
use crate::{
    app::App,
    domain::{actor::Actor, audit_action::AuditAction},
    ops::{
        audit::{self, Entry, old_certificate_snapshot},
        in_turn::transact_on_user,
        publications::make_due::{Urgency, want_newest},
        users::{
            locked::{LivingUserError, locked_user},
            next_revision::next_revisions,
            read::{self, UserView},
        },
    },
};

/// Revokes a certificate of a living user for ever, and ends its sessions. Other certificates and the profiles of the user go on. The user stays on the
/// node.
pub async fn revoke_old_certificate(
    app: &App,
    actor: &Actor,
    username: &Username,
    named: &Named,
) -> Result<UserView, OldCertificateError> {
    let view = transact_on_user(app, username, |tx| async move {
        let user = locked_user(&tx, username).await?;
        let before = locked(&tx, user.id, named).await?;
        let mut row = before.clone().into_active_model();
        row.revoked_at = Set(Some(Utc::now().trunc_subsecs(6)));
        row.update(&*tx).await?;
        next_revisions(&tx, &[user.id], Vec::new()).await?;
        want_newest(&*tx, &[user.id], Urgency::EndsAccess).await?;
        let entry = Entry::new(actor, AuditAction::OldCertificateRevoked, &named.node)
            .about(username)
            .before(old_certificate_snapshot(&before));
        audit::record_one(&tx, entry).await?;
        let after = user::Entity::find_by_id(user.id).one(&*tx).await?;
        let after = after.ok_or(LivingUserError::UnknownUser)?;
        Ok::<_, OldCertificateError>(read::view(&*tx, after).await?)
    })
    .await?;
    app.wake_publishers();
    Ok(view)
}
