//! `/api/users/{username}/devices`: the devices of a user, each with a credential and a profile of its own.

mod create;
mod remove;
mod schema;

use poem::web::Data;
use poem_openapi::OpenApi;
use poem_openapi::param::{Header, Path, Query};
use poem_openapi::payload::Json;
use vpnmanager_openapi::problem::ApiError;
use vpnmanager_openapi::wait::Wait;

use super::access::{Operator, Viewer};
use super::failure;
use super::scalars::{DeviceText, UsernameText};
use super::tags::Tag;
use super::users::{ProfileAnswer, Reissue, Stopping, User, get_profile, reissue_profile, settled};
use crate::app::App;
use crate::ops::devices::{DeviceError, read};
use crate::ops::users::locked::LivingUserError;
use create::DeviceCreated;
use schema::{Device, Devices, NewDevice};

pub(super) struct DevicesApi;

#[OpenApi(prefix_path = "/api/users", tag = "Tag::Users")]
impl DevicesApi {
    /// List the devices of a user
    ///
    /// In the order of their names. It is no page: a user has 16 devices at most. Each has a credential and a profile of its own. A user is
    /// created with the device `default`.
    #[oai(path = "/:username/devices", method = "get", operation_id = "list_devices")]
    async fn list(
        &self,
        _viewer: Viewer,
        app: Data<&App>,
        /// The user's name.
        username: Path<UsernameText>,
    ) -> Result<Json<Devices>, ApiError> {
        let found = read::list_devices(&app.db, &username.0.0).await;
        found
            .map(|devices| Json(Devices::of(devices)))
            .map_err(|error| failure::users::of_living_user(&app, error))
    }

    /// Create a device
    ///
    /// The home server creates its key, certificate and profile; the user's other servers accept it too. With `wait` the answer comes when all
    /// of them have applied the user and the profile exists (`issued`). A user who is suspended gets it as well, and nobody in with it. 409 if
    /// the user has a device of that name in whatever case, has 16, or has as many as it, or its group, is allowed.
    #[oai(path = "/:username/devices", method = "post", operation_id = "create_device")]
    async fn create(
        &self,
        operator: Operator,
        app: Data<&App>,
        stopping: Data<&Stopping>,
        /// The user's name.
        username: Path<UsernameText>,
        /// How long to wait for the servers, 0s to 60s. Not at all while as many requests wait as are allowed.
        wait: Query<Option<Wait>>,
        body: Json<NewDevice>,
    ) -> Result<DeviceCreated, ApiError> {
        let username = username.0.0;
        let created = create::create_device(app.0, &operator, &username, body.0).await?;
        let name = created.device.name.clone();
        let user = settled(app.0, stopping.0, &operator, created.user, wait.0).await;
        let device = match read::get_device(&app.db, &username, &name).await {
            Ok(as_it_is_now) => as_it_is_now,
            // It is recorded all the same.
            Err(DeviceError::Database(_) | DeviceError::User(LivingUserError::Database(_))) => created.device,
            // Somebody else removed it meanwhile, or its user.
            Err(gone @ (DeviceError::User(LivingUserError::UnknownUser) | DeviceError::UnknownDevice(_))) => {
                return Err(failure::users::of_device(&app, gone));
            }
        };
        Ok(DeviceCreated::new(&username, device, user.is_synced()))
    }

    /// Get a device
    #[oai(path = "/:username/devices/:device", method = "get", operation_id = "get_device")]
    async fn get(
        &self,
        _viewer: Viewer,
        app: Data<&App>,
        /// The user's name.
        username: Path<UsernameText>,
        /// The device.
        device: Path<DeviceText>,
    ) -> Result<Json<Device>, ApiError> {
        let found = read::get_device(&app.db, &username.0.0, &device.0.0).await;
        found
            .map(|device| Json(Device::of(device)))
            .map_err(|error| failure::users::of_device(&app, error))
    }

    /// Revoke a device
    ///
    /// Revokes all its profiles for ever, ends its sessions and the links to its profile. The other devices of the user go on. The answer is the
    /// user: `nodes` shows which servers have not applied it yet. A device of that name that is created later gets another profile.
    #[oai(
        path = "/:username/devices/:device",
        method = "delete",
        operation_id = "delete_device"
    )]
    async fn remove(
        &self,
        operator: Operator,
        app: Data<&App>,
        stopping: Data<&Stopping>,
        /// The user's name.
        username: Path<UsernameText>,
        /// The device.
        device: Path<DeviceText>,
        /// How long to wait for the servers, 0s to 60s. Not at all while as many requests wait as are allowed.
        wait: Query<Option<Wait>>,
    ) -> Result<Json<User>, ApiError> {
        let view = remove::remove_device(app.0, &operator, &username.0.0, &device.0.0).await?;
        Ok(Json(settled(app.0, stopping.0, &operator, view, wait.0).await))
    }

    /// Make a new profile of a device
    ///
    /// For a device whose profile is lost, as `POST /api/users/{username}/reissue` does it for the device `default`. With
    /// `old_profiles: revoke` the older profiles of this device are revoked, and the links to its profile end; other devices go on.
    #[oai(
        path = "/:username/devices/:device/reissue",
        method = "post",
        operation_id = "reissue_device_profile"
    )]
    #[expect(clippy::too_many_arguments, reason = "one for each parameter")]
    async fn reissue(
        &self,
        operator: Operator,
        app: Data<&App>,
        stopping: Data<&Stopping>,
        /// The user's name.
        username: Path<UsernameText>,
        /// The device.
        device: Path<DeviceText>,
        /// How long to wait for the servers, 0s to 60s. Not at all while as many requests wait as are allowed.
        wait: Query<Option<Wait>>,
        body: Json<Reissue>,
    ) -> Result<Json<User>, ApiError> {
        let view = reissue_profile(app.0, &operator, &username.0.0, &device.0.0, body.0).await?;
        Ok(Json(settled(app.0, stopping.0, &operator, view, wait.0).await))
    }

    /// Get a device's profile
    ///
    /// The `.ovpn` file with the private key, as `GET /api/users/{username}/profile` hands it out for the device `default`.
    #[oai(
        path = "/:username/devices/:device/profile",
        method = "get",
        operation_id = "get_device_profile"
    )]
    async fn profile(
        &self,
        operator: Operator,
        app: Data<&App>,
        /// The user's name.
        username: Path<UsernameText>,
        /// The device.
        device: Path<DeviceText>,
        /// The `ETag` of an earlier answer: 304 if the profile has not changed.
        #[oai(name = "If-None-Match")]
        if_none_match: Header<Option<String>>,
    ) -> Result<ProfileAnswer, ApiError> {
        get_profile(
            app.0,
            &operator,
            (&username.0.0, &device.0.0),
            if_none_match.0.as_deref(),
        )
        .await
    }
}
