//! Gives a user a new profile, when the user or the home node has lost it.

use sea_orm::{ActiveModelTrait, ActiveValue::Set, DatabaseTransaction, DbErr, IntoActiveModel};
use vpnmanager_entities::user;
use vpnmanager_nats::username::Username;

use crate::{
    app::App,
    domain::{actor::Actor, audit_action::AuditAction},
    ops::{
        audit::{self, Entry, user_snapshot},
        credentials::{
            give::{NewCredential, give_credentials},
            revoke::revoke_credentials,
        },
        links::revoke::end_links,
        publications::make_due::{Urgency, want_newest},
        transact::transact,
        users::{
            locked::{LivingUserError, locked_user},
            read::{self, UserView},
        },
    },
};

/// What happens to the profiles that the user already has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OldProfiles {
    /// They stay valid, beside the new one.
    Keep,
    /// They are revoked for ever, and their sessions are cut.
    Revoke,
}

/// Gives a living user another credential; its home node creates the key and the profile.
pub async fn reissue_profile(
    app: &App,
    actor: &Actor,
    username: &Username,
    old: OldProfiles,
) -> Result<UserView, LivingUserError> {
    let view = transact(&app.db, |tx| async move {
        let before = locked_user(&tx, username).await?;
        let user = begin_anew(&tx, &before).await?;
        let (fate, urgency) = match old {
            OldProfiles::Keep => (
                "the older ones stay valid (old_profiles: keep)".to_owned(),
                Urgency::Ordinary,
            ),
            OldProfiles::Revoke => {
                let revoked = revoke_credentials(&tx, user.id).await?;
                // Whoever has one may be whom the profile is revoked for: he would get the new one.
                end_links(&tx, app, actor, (&user, None)).await?;
                let fate = format!("{revoked} older ones were revoked (old_profiles: revoke)");
                (fate, Urgency::EndsAccess)
            }
        };
        let new = NewCredential::new(user.id, &user.username, &user.server_id);
        let name = new.common_name().clone();
        give_credentials(&tx, &[new]).await?;
        want_newest(&*tx, &[user.id], urgency).await?;
        let entry = Entry::new(actor, AuditAction::UserReissued, &app.config.server_id)
            .about(&user.username)
            .details(format!("the new credential is {name}; {fate}"))
            .before(user_snapshot(&before))
            .after(user_snapshot(&user));
        audit::record_one(&tx, entry).await?;
        Ok::<_, LivingUserError>(read::view(&*tx, user).await?)
    })
    .await?;
    app.wake_publishers();
    Ok(view)
}

/// Starts the next revision, without a profile.
async fn begin_anew(transaction: &DatabaseTransaction, before: &user::Model) -> Result<user::Model, DbErr> {
    let mut row = before.clone().into_active_model();
    row.revision = Set(before.revision + 1);
    row.synced = Set(false);
    row.checksum = Set(None);
    row.ovpn_path = Set(None);
    row.update(transaction).await
}
