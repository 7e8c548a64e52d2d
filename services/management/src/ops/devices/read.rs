//! Reads the devices of a user.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr};
use vpnmanager_entities::{credential, user};
use vpnmanager_nats::{device::DeviceName, username::Username};

use crate::{
    domain::device::{Device, devices},
    ops::users::locked::LivingUserError,
};

/// Why a device was not read.
#[derive(Debug, thiserror::Error)]
pub enum GetDeviceError {
    /// No living user has the name.
    #[error("there is no such user")]
    UnknownUser,
    /// The user has no such device.
    #[error("the user has no device {0}")]
    UnknownDevice(DeviceName),
    /// The database did not answer.
    #[error("reading the device failed")]
    Database(#[from] DbErr),
}

impl From<LivingUserError> for GetDeviceError {
    fn from(error: LivingUserError) -> Self {
        match error {
            LivingUserError::UnknownUser => Self::UnknownUser,
            LivingUserError::Database(error) => Self::Database(error),
        }
    }
}

/// Reads the devices of a living user, in the order of their names.
pub async fn list_devices(db: &DatabaseConnection, username: &Username) -> Result<Vec<Device>, LivingUserError> {
    let found = user::Entity::find_living_by_username(username).one(db).await?;
    let user = found.ok_or(LivingUserError::UnknownUser)?;
    Ok(of_user(db, &user).await?)
}

/// Reads one device of a living user.
pub async fn get_device(
    db: &DatabaseConnection,
    username: &Username,
    name: &DeviceName,
) -> Result<Device, GetDeviceError> {
    let mut devices = list_devices(db, username).await?.into_iter();
    devices
        .find(|device| device.name == *name)
        .ok_or_else(|| GetDeviceError::UnknownDevice(name.clone()))
}

/// The devices of a user that was read before.
pub(super) async fn of_user(db: &impl ConnectionTrait, user: &user::Model) -> Result<Vec<Device>, DbErr> {
    let credentials = credential::Entity::find_valid_of([user.id]).all(db).await?;
    Ok(devices(&credentials, &user.server_id))
}
