//! Gives a device of a user a new profile, when the user or the home node has lost it.

use sea_orm::DbErr;
use vpnmanager_nats::{
    device::{DeviceName, MOST_DEVICES},
    username::Username,
};

use crate::{
    app::App,
    domain::{actor::Actor, audit_action::AuditAction},
    ops::{
        audit::{self, Entry, user_snapshot},
        credentials::{
            devices::devices_of,
            give::{NewCredential, give_credentials},
            revoke::revoke_of_device,
        },
        devices::limit::{BeyondLimit, beyond_limit},
        links::revoke::{Ended, end_links},
        publications::make_due::{Urgency, want_newest},
        transact::transact,
        users::{
            locked::{LivingUserError, locked_user},
            next_revision::next_revision,
            read::{self, UserView},
        },
    },
};

/// What happens to the profiles that the device already has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OldProfiles {
    /// They stay valid, beside the new one.
    Keep,
    /// They are revoked for ever, and their sessions are cut.
    Revoke,
}

/// Why there is no new profile.
#[derive(Debug, thiserror::Error)]
pub enum ReissueError {
    /// The user could not be read.
    #[error(transparent)]
    User(#[from] LivingUserError),
    /// The user has no such device.
    #[error("the user has no device {0}")]
    UnknownDevice(DeviceName),
    /// The device `default` would be one too many.
    #[error("the user has {} devices, which is the most", MOST_DEVICES)]
    TooManyDevices,
    /// It would be one more than the user, or its group, is allowed.
    #[error(transparent)]
    BeyondLimit(#[from] BeyondLimit),
    /// The database failed.
    #[error("recording the change failed")]
    Database(#[from] DbErr),
}

/// Gives a device of a living user another credential; the user's home node creates the key and the profile. A user without the device `default`
/// gets it again.
pub async fn reissue_profile(
    app: &App,
    actor: &Actor,
    username: &Username,
    device: &DeviceName,
    old: OldProfiles,
) -> Result<UserView, ReissueError> {
    let view = transact(&app.db, |tx| async move {
        let before = locked_user(&tx, username).await?;
        let devices = devices_of(&*tx, &[before.id]).await?;
        if devices.iter().all(|held| held.device != *device) {
            if !device.is_default() {
                return Err(ReissueError::UnknownDevice(device.clone()));
            }
            if devices.len() >= MOST_DEVICES {
                return Err(ReissueError::TooManyDevices);
            }
            if let Some(beyond) = beyond_limit(&tx, &before, devices.len()).await? {
                return Err(beyond.into());
            }
        }
        let user = next_revision(&tx, &before, device).await?;
        let (fate, urgency) = match old {
            OldProfiles::Keep => (
                "the older ones stay valid (old_profiles: keep)".to_owned(),
                Urgency::Ordinary,
            ),
            OldProfiles::Revoke => {
                let revoked = revoke_of_device(&tx, user.id, device).await?.len();
                // Whoever has one may be whom the profile is revoked for: he would get the new one.
                end_links(&tx, app, actor, (&user, Ended::OfDevice(device))).await?;
                let fate = format!("{revoked} older ones were revoked (old_profiles: revoke)");
                (fate, Urgency::EndsAccess)
            }
        };
        let new = NewCredential::new(user.id, &user.username, device, &user.server_id);
        let name = new.common_name().clone();
        give_credentials(&tx, &[new]).await?;
        want_newest(&*tx, &[user.id], urgency).await?;
        let entry = Entry::new(actor, AuditAction::UserReissued, &app.config.server_id)
            .about(&user.username)
            .details(format!("the new credential of the device {device} is {name}; {fate}"))
            .before(user_snapshot(&before))
            .after(user_snapshot(&user));
        audit::record_one(&tx, entry).await?;
        Ok::<_, ReissueError>(read::view(&*tx, user).await?)
    })
    .await?;
    app.wake_publishers();
    Ok(view)
}
