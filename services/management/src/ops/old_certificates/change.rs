//! Changes until when a certificate of an old server is accepted.

use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, IntoActiveModel};
use vpnmanager_entities::old_certificate;
use vpnmanager_nats::username::Username;

use super::{
    OldCertificateError,
    locked::{Named, locked},
};
use crate::{
    app::App,
    domain::{actor::Actor, audit_action::AuditAction, end_of_access::ends_earlier},
    ops::{
        audit::{self, Entry, old_certificate_snapshot},
        in_turn::transact_on_user,
        publications::make_due::{Urgency, want_newest},
        users::{locked::locked_user, next_revision::next_revisions},
    },
};

/// Sets until when the node accepts a certificate of a living user; `Some(None)`: as long as it is valid. Where nothing is said, or it is so already,
/// nothing changes.
pub async fn change_old_certificate(
    app: &App,
    actor: &Actor,
    username: &Username,
    named: &Named,
    expires_at: Option<Option<DateTime<Utc>>>,
) -> Result<old_certificate::Model, OldCertificateError> {
    let changed = transact_on_user(app, username, |tx| async move {
        let user = locked_user(&tx, username).await?;
        let before = locked(&tx, user.id, named).await?;
        let expires_at = expires_at.map_or(before.expires_at, |at| at.map(|at| at.trunc_subsecs(6)));
        if before.expires_at == expires_at {
            return Ok(before);
        }
        let mut row = before.clone().into_active_model();
        row.expires_at = Set(expires_at);
        let after = row.update(&*tx).await?;
        next_revisions(&tx, &[user.id], Vec::new()).await?;
        want_newest(&*tx, &[user.id], urgency(&before, &after)).await?;
        let entry = Entry::new(actor, AuditAction::OldCertificateChanged, &named.node)
            .about(username)
            .before(old_certificate_snapshot(&before))
            .after(old_certificate_snapshot(&after));
        audit::record_one(&tx, entry).await?;
        Ok::<_, OldCertificateError>(after)
    })
    .await?;
    app.wake_publishers();
    Ok(changed)
}

/// Urgent when it is accepted for a shorter time than before.
fn urgency(before: &old_certificate::Model, after: &old_certificate::Model) -> Urgency {
    if ends_earlier(before.expires_at, after.expires_at) {
        Urgency::EndsAccess
    } else {
        Urgency::Ordinary
    }
}
