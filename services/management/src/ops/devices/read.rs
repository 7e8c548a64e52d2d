//! Reads the devices of a user.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr};
use vpnmanager_entities::{credential, user};
use vpnmanager_nats::{device::DeviceName, username::Username};

use super::DeviceError;
use crate::{
    domain::device::{Device, devices},
    ops::users::locked::LivingUserError,
};

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
) -> Result<Device, DeviceError> {
    let mut devices = list_devices(db, username).await?.into_iter();
    devices
        .find(|device| device.name == *name)
        .ok_or_else(|| DeviceError::UnknownDevice(name.clone()))
}

/// The devices of a user that was read before.
pub(super) async fn of_user(db: &impl ConnectionTrait, user: &user::Model) -> Result<Vec<Device>, DbErr> {
    let credentials = credential::Entity::find_valid_of([user.id]).all(db).await?;
    Ok(devices(&credentials, &user.server_id))
}
