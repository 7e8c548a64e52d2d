//! `GET /api/users/{username}/profile`.

use poem_openapi::ApiResponse;
use poem_openapi::payload::PlainText;
use vpnmanager_nats::device::DeviceName;
use vpnmanager_nats::username::Username;
use vpnmanager_openapi::problem::ApiError;

use crate::api::failure;
use crate::app::App;
use crate::domain::actor::Actor;
use crate::domain::device::profile_name;
use crate::ops::users::fetch_profile::{Profile, fetch_profile};
use crate::ops::users::record_profile_read::record_profile_read;

/// It holds a private key.
const NO_STORE: &str = "no-store";

#[derive(ApiResponse)]
pub(crate) enum ProfileAnswer {
    /// The profile.
    #[oai(status = 200, content_type = "application/x-openvpn-profile")]
    Profile(
        PlainText<String>,
        /// SHA-256 of the profile, in quotes.
        #[oai(header = "ETag")]
        String,
        /// An attachment with the user's name, and that of the device where it is not `default`.
        #[oai(header = "Content-Disposition")]
        String,
        /// Always `no-store`.
        #[oai(header = "Cache-Control")]
        String,
    ),
    /// The profile has not changed.
    #[oai(status = 304)]
    NotModified(
        /// SHA-256 of the profile, in quotes.
        #[oai(header = "ETag")]
        String,
        /// Always `no-store`.
        #[oai(header = "Cache-Control")]
        String,
    ),
}

pub(in crate::api) async fn get_profile(
    app: &App,
    actor: &Actor,
    (username, device): (&Username, &DeviceName),
    if_none_match: Option<&str>,
) -> Result<ProfileAnswer, ApiError> {
    let profile = fetch_profile(app, username, device)
        .await
        .map_err(|error| failure::users::of_fetch_profile(app, error))?;
    let etag = format!("\"{}\"", profile.checksum);
    if if_none_match.is_some_and(|known| matches_etag(known, &etag)) {
        return Ok(ProfileAnswer::NotModified(etag, NO_STORE.to_owned()));
    }
    record_profile_read(app, actor, username, &profile)
        .await
        .map_err(|error| failure::database(app, error))?;
    Ok(whole(username, &profile, etag))
}

fn whole(username: &Username, profile: &Profile, etag: String) -> ProfileAnswer {
    let disposition = format!(
        "attachment; filename=\"{}.ovpn\"",
        profile_name(username, &profile.device)
    );
    ProfileAnswer::Profile(
        PlainText(profile.text.expose().to_owned()),
        etag,
        disposition,
        NO_STORE.to_owned(),
    )
}

/// RFC 9110, section 13.1.2: `*` or a list, compared weakly.
fn matches_etag(known: &str, etag: &str) -> bool {
    let mut tags = known.split(',').map(|tag| tag.trim().trim_start_matches("W/"));
    known.trim() == "*" || tags.any(|tag| tag == etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_that_is_known_is_not_sent_again() {
        for (known, matched) in [
            ("\"a\"", true),
            ("W/\"a\"", true),
            ("\"b\", \"a\"", true),
            ("*", true),
            ("\"b\"", false),
            ("a", false),
        ] {
            assert_eq!(matches_etag(known, "\"a\""), matched, "{known}");
        }
    }
}
