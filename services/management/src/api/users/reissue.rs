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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub(in crate::api) enum OldProfiles {
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
    reissue::reissue_profile(app, actor, username, device, body.old_profiles())
        .await
        .map_err(|error| failure::users::of_reissue(app, error))
}

impl Reissue {
    /// What happens to the older profiles.
    pub(in crate::api) fn old_profiles(&self) -> reissue::OldProfiles {
        self.old_profiles.into()
    }
}

impl From<OldProfiles> for reissue::OldProfiles {
    fn from(old: OldProfiles) -> Self {
        match old {
            OldProfiles::Keep => Self::Keep,
            OldProfiles::Revoke => Self::Revoke,
        }
    }
}

impl From<reissue::OldProfiles> for OldProfiles {
    fn from(old: reissue::OldProfiles) -> Self {
        match old {
            reissue::OldProfiles::Keep => Self::Keep,
            reissue::OldProfiles::Revoke => Self::Revoke,
        }
    }
}

impl Example for Reissue {
    fn example() -> Self {
        Self {
            old_profiles: OldProfiles::Revoke,
        }
    }
}
