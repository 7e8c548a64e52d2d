//! A new profile for a user, who has lost it or whose home has.

use sea_orm::{ActiveModelTrait, ActiveValue::Set, DatabaseTransaction, DbErr, EntityTrait, IntoActiveModel};
use vpnmanager_entities::{credential, user};
use vpnmanager_nats::{ids::CommonName, username::Username};

use crate::ops::{
    audit::{self, Entry},
    transact::transact,
    users::{
        change::want_revision,
        locked::{LivingUserError, lock_living, revoke_credentials},
        read::{self, UserView},
    },
};
use crate::{app::App, domain::actor::Actor};

/// What becomes of the profiles that the user has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OldProfiles {
    /// They go on letting the user in, beside the new one.
    Keep,
    /// They let nobody in any more, and their sessions are cut.
    Revoke,
}

/// Gives a living user another credential, which the present home makes key and profile for.
///
/// # Errors
/// See [`LivingUserError`].
pub async fn reissue_profile(
    app: &App,
    actor: &Actor,
    username: &Username,
    old: OldProfiles,
) -> Result<UserView, LivingUserError> {
    let view = transact(&app.db, |tx| async move {
        let before = lock_living(&tx, username).await?;
        let name = CommonName::for_user(username);
        let user = begin_anew(&tx, &before).await?;
        let revoked = match old {
            OldProfiles::Keep => 0,
            OldProfiles::Revoke => revoke_credentials(&tx, user.id).await?,
        };
        let row = credential::ActiveModel {
            user_id: Set(Some(user.id)),
            common_name: Set(name.to_string()),
            server_id: Set(user.server_id.clone()),
            ..Default::default()
        };
        credential::Entity::insert(row).exec_without_returning(&*tx).await?;
        want_revision(&tx, user.id, user.revision).await?;
        let entry = Entry {
            actor,
            action: "user_reissued",
            username: Some(user.username.clone()),
            server_id: app.config.server_id.clone(),
            details: Some(format!(
                "the new credential is {name}; {revoked} older ones were revoked"
            )),
            before: Some(audit::snapshot(&before)),
            after: Some(audit::snapshot(&user)),
        };
        audit::record(&tx, entry).await?;
        Ok::<_, LivingUserError>(read::view(&*tx, user).await?)
    })
    .await?;
    app.publisher.wake();
    Ok(view)
}

/// The next revision, with no profile yet.
async fn begin_anew(transaction: &DatabaseTransaction, before: &user::Model) -> Result<user::Model, DbErr> {
    let mut row = before.clone().into_active_model();
    row.revision = Set(before.revision + 1);
    row.synced = Set(false);
    row.checksum = Set(None);
    row.ovpn_path = Set(None);
    row.update(transaction).await
}
