//! `POST /api/users/{username}/reissue`.

use poem_openapi::types::Example;
use poem_openapi::{Enum, Object};
use vpnmanager_nats::device::DeviceName;
use vpnmanager_nats::username::Username;
use vpnmanager_openapi::problem::ApiError;

use crate::api::failure;
use crate::app::App;
use crate::domain::actor::Actor;
use crate::ops::users::read::UserView;
use crate::ops::users::reissue;

/// What happens to the older profiles.
#[derive(Debug, Object)]
#[oai(example)]
pub(crate) struct Reissue {
    /// The profiles that the device already has.
    #[oai(default)]
    old_profiles: OldProfiles,
}

/// What happens to the profiles that the device already has.
#[derive(Debug, Clone, Copy, Default, Enum)]
#[oai(rename_all = "snake_case")]
enum OldProfiles {
    /// They stay valid.
    #[default]
    Keep,
    /// They are revoked for ever, their sessions end, and so do the links to the device's profile.
    Revoke,
}

pub(in crate::api) async fn reissue_profile(
    app: &App,
    actor: &Actor,
    username: &Username,
    device: &DeviceName,
    body: Reissue,
) -> Result<UserView, ApiError> {
    let old = match body.old_profiles {
        OldProfiles::Keep => reissue::OldProfiles::Keep,
        OldProfiles::Revoke => reissue::OldProfiles::Revoke,
    };
    reissue::reissue_profile(app, actor, username, device, old)
        .await
        .map_err(|error| failure::users::of_reissue(app, error))
}

impl Example for Reissue {
    fn example() -> Self {
        Self {
            old_profiles: OldProfiles::Revoke,
        }
    }
}
