//! `POST /api/users/{username}/devices`.

use poem_openapi::ApiResponse;
use poem_openapi::payload::Json;
use vpnmanager_nats::username::Username;
use vpnmanager_openapi::problem::ApiError;

use super::schema::{Device, NewDevice};
use crate::api::failure;
use crate::app::App;
use crate::domain::actor::Actor;
use crate::domain::device;
use crate::ops::devices::create::{self, CreatedDevice};

#[derive(Debug, ApiResponse)]
pub(crate) enum DeviceCreated {
    /// The device is recorded and is being sent to the user's servers: see `synced`.
    #[oai(status = 201)]
    Created(
        Json<Device>,
        /// The path of the device.
        #[oai(header = "Location")]
        String,
    ),
}

impl DeviceCreated {
    /// The answer, with whether all servers of the user have applied it.
    pub(super) fn new(username: &Username, device: device::Device, is_synced: bool) -> Self {
        let location = format!("/api/users/{username}/devices/{}", device.name);
        Self::Created(Json(Device::created(device, is_synced)), location)
    }
}

pub(super) async fn create_device(
    app: &App,
    actor: &Actor,
    username: &Username,
    body: NewDevice,
) -> Result<CreatedDevice, ApiError> {
    create::create_device(app, actor, username, &body.into_name())
        .await
        .map_err(|error| failure::users::of_create_device(app, error))
}
