//! Gives a user another device: a credential of its own, for which the home makes a profile.

use sea_orm::DbErr;
use vpnmanager_nats::{
    device::{DeviceName, MOST_DEVICES},
    username::Username,
};

use super::{
    limit::{BeyondLimit, beyond_limit},
    read::of_user,
};
use crate::{
    app::App,
    domain::{actor::Actor, audit_action::AuditAction, device::Device},
    ops::{
        audit::{self, Entry, user_snapshot},
        credentials::give::{NewCredential, give_credentials},
        in_turn::transact_on_user,
        publications::make_due::{Urgency, want_newest},
        users::{
            locked::{LivingUserError, locked_user},
            next_revision::next_revision,
            read::{self, UserView},
        },
    },
};

/// A device that was created.
#[derive(Debug, Clone)]
pub struct CreatedDevice {
    /// The device.
    pub device: Device,
    /// Its user.
    pub user: UserView,
}

/// Why a device was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateDeviceError {
    /// The user could not be read.
    #[error(transparent)]
    User(#[from] LivingUserError),
    /// The user has a device of that name, maybe with other small and capital letters: their profiles would be one file on many systems.
    #[error("the user has a device {0}")]
    NameTaken(DeviceName),
    /// It is `default` with capital letters.
    #[error("the device that every user gets is called default, in small letters")]
    LikeDefault,
    /// The user has as many devices as a user may have.
    #[error("the user has {} devices, which is the most", MOST_DEVICES)]
    TooManyDevices,
    /// The user has as many as it, or its group, is allowed.
    #[error(transparent)]
    BeyondLimit(#[from] BeyondLimit),
    /// The database failed.
    #[error("recording the device failed")]
    Database(#[from] DbErr),
}

/// Gives a living user a device of that name. It makes no difference whether the user has access.
pub async fn create_device(
    app: &App,
    actor: &Actor,
    username: &Username,
    name: &DeviceName,
) -> Result<CreatedDevice, CreateDeviceError> {
    let created = transact_on_user(app, username, |tx| async move {
        let before = locked_user(&tx, username).await?;
        let held = of_user(&*tx, &before).await?;
        if let Some(twin) = held
            .iter()
            .find(|device| device.name.as_str().eq_ignore_ascii_case(name.as_str()))
        {
            return Err(CreateDeviceError::NameTaken(twin.name.clone()));
        }
        if !name.is_default() && name.as_str().eq_ignore_ascii_case(DeviceName::DEFAULT) {
            return Err(CreateDeviceError::LikeDefault);
        }
        if held.len() >= MOST_DEVICES {
            return Err(CreateDeviceError::TooManyDevices);
        }
        if let Some(beyond) = beyond_limit(&tx, &before, held.len()).await? {
            return Err(beyond.into());
        }
        let user = next_revision(&tx, &before, name).await?;
        let new = NewCredential::new(user.id, &user.username, name, &user.server_id);
        let common_name = new.common_name().clone();
        give_credentials(&tx, &[new]).await?;
        want_newest(&*tx, &[user.id], Urgency::Ordinary).await?;
        let entry = Entry::new(actor, AuditAction::DeviceCreated, &app.config.server_id)
            .about(&user.username)
            .details(format!("the device {name}; its credential is {common_name}"))
            .before(user_snapshot(&before))
            .after(user_snapshot(&user));
        audit::record_one(&tx, entry).await?;
        let devices = of_user(&*tx, &user).await?;
        let made = devices.into_iter().find(|device| device.name == *name);
        let device = made.ok_or_else(|| DbErr::RecordNotFound(format!("the credential {common_name}")))?;
        let user = read::view(&*tx, user).await?;
        Ok::<_, CreateDeviceError>(CreatedDevice { device, user })
    })
    .await?;
    app.wake_publishers();
    Ok(created)
}
