//! Devices of users. There is no table of them: a user has those that have a credential which is not revoked.

pub mod create;
pub mod limit;
pub mod read;
pub mod revoke;

use sea_orm::DbErr;
use vpnmanager_nats::device::DeviceName;

use crate::ops::users::locked::LivingUserError;

/// Why a device was not read, or not revoked.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The user could not be read.
    #[error(transparent)]
    User(#[from] LivingUserError),
    /// The user has no such device.
    #[error("the user has no device {0}")]
    UnknownDevice(DeviceName),
    /// The database failed.
    #[error("reading or revoking the device failed")]
    Database(#[from] DbErr),
}
