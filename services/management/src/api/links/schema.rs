//! A link to a profile in the API: the bodies of requests and of answers.

use chrono::DateTime;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{ApiResponse, Object};
use secrecy::ExposeSecret as _;
use vpnmanager_openapi::time::Timestamp;

use crate::api::durations::TimeToLive;
use crate::ops::links::create::NewLink;
use crate::ops::links::list::LinkView;

/// A link to create.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub(crate) struct NewProfileLink {
    /// How long the link is valid, 1s to 7days: a whole number of `s`, `m`, `h` or `days`; 1h by default.
    pub(super) ttl: Option<TimeToLive>,
    /// How often it hands out the profile; once by default.
    #[oai(validator(minimum(value = "1"), maximum(value = "10")))]
    pub(super) uses: Option<i16>,
}

/// A link to a profile. It is shown only once, in this answer.
#[derive(Debug, Object)]
#[oai(example)]
pub(crate) struct ProfileLink {
    /// Its id, for `DELETE /api/users/{username}/links/{id}`. No secret.
    id: i64,
    /// The page for the user. A secret.
    url: String,
    /// When it expires.
    expires_at: Timestamp,
    /// How often it hands out the profile.
    uses: i16,
}

#[derive(Debug, ApiResponse)]
pub(crate) enum LinkCreated {
    /// The link was created.
    #[oai(status = 201)]
    Created(
        Json<ProfileLink>,
        /// Always `no-store`.
        #[oai(header = "Cache-Control")]
        String,
    ),
}

/// What is known of a link that is open. The link itself is stored nowhere.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub(crate) struct ListedLink {
    /// Its id, for `DELETE /api/users/{username}/links/{id}`. Links are listed by it, the highest first.
    id: i64,
    /// The device whose profile it hands out.
    device: String,
    /// Who created it: `key:<name>`.
    created_by: String,
    /// When it was created.
    created_at: Timestamp,
    /// When it expires.
    expires_at: Timestamp,
    /// How often it still hands out the profile.
    uses_left: i16,
    /// When it handed out the profile last.
    last_used_at: Option<Timestamp>,
}

#[derive(Debug, ApiResponse)]
pub(crate) enum RevokedLink {
    /// The link hands out nothing any more.
    #[oai(status = 204)]
    Done,
}

impl LinkCreated {
    pub(super) fn new(made: &NewLink, uses: i16) -> Self {
        let body = ProfileLink {
            id: made.id,
            url: made.url.expose_secret().to_owned(),
            expires_at: made.expires_at.into(),
            uses,
        };
        Self::Created(Json(body), "no-store".to_owned())
    }
}

impl ListedLink {
    pub(super) fn of(view: LinkView) -> Self {
        Self {
            id: view.id,
            device: view.device.to_string(),
            created_by: view.created_by,
            created_at: view.created_at.into(),
            expires_at: view.expires_at.into(),
            uses_left: view.uses_left,
            last_used_at: view.last_used_at.map(Into::into),
        }
    }
}

impl Example for NewProfileLink {
    fn example() -> Self {
        Self {
            ttl: "1h".parse().ok(),
            uses: Some(1),
        }
    }
}

impl Example for ProfileLink {
    fn example() -> Self {
        Self {
            id: 7,
            url: "https://vpn.example.com/p/vpnlink-zq3v5k2mhx6t".to_owned(),
            expires_at: at(1_795_003_600),
            uses: 1,
        }
    }
}

impl Example for ListedLink {
    fn example() -> Self {
        Self {
            id: 7,
            device: "laptop".to_owned(),
            created_by: "key:admin".to_owned(),
            created_at: at(1_795_000_000),
            expires_at: at(1_795_003_600),
            uses_left: 1,
            last_used_at: None,
        }
    }
}

fn at(seconds: i64) -> Timestamp {
    DateTime::from_timestamp(seconds, 0).unwrap_or_default().into()
}
