//! An API key in the API: the bodies of requests and of answers.

use std::str::FromStr;
use std::time::Duration;

use chrono::DateTime;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{ApiResponse, Object};
use serde_json::Value;
use vpnmanager_entities::api_key::{KeyState, Role};
use vpnmanager_nats::groups::GroupName;
use vpnmanager_openapi::contract::scalars::PoolText;
use vpnmanager_openapi::duration::duration_of;
use vpnmanager_openapi::problem::ApiError;
use vpnmanager_openapi::time::Timestamp;
use vpnmanager_openapi::{scalar_impls, text_scalar};

use crate::api::scalars::{FreeText, GroupText};
use crate::api::users::in_the_future;
use crate::ops::keys::create_api_key::NewApiKey;
use crate::ops::keys::list_api_keys::ApiKeyView;

/// The role of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RoleText(pub(super) Role);

scalar_impls! {
    RoleText, "string", "role",
    |schema| {
        schema.enum_items = Role::ALL.iter().map(|role| Value::from(role.as_str())).collect();
        schema.example = Some(Value::from(Role::Operator.as_str()));
    },
    |text| RoleText::from_str(text),
    |value| Value::from(value.0.as_str())
}

impl FromStr for RoleText {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Role::ALL.into_iter().find(|role| role.as_str() == text);
        found.map(Self).ok_or("must be viewer, operator, admin or node")
    }
}

/// The state of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyStateText(pub(super) KeyState);

scalar_impls! {
    KeyStateText, "string", "key-state",
    |schema| {
        schema.enum_items = KeyState::ALL.iter().map(|state| Value::from(state.as_str())).collect();
        schema.example = Some(Value::from(KeyState::Active.as_str()));
    },
    |text| KeyStateText::from_str(text),
    |value| Value::from(value.0.as_str())
}

impl FromStr for KeyStateText {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = KeyState::ALL.into_iter().find(|state| state.as_str() == text);
        found.map(Self).ok_or("must be active, expired or revoked")
    }
}

text_scalar! {
    /// The name of a key.
    pub(super) struct KeyNameText {
        format: "key-name",
        pattern: "^[0-9A-Za-z][0-9A-Za-z._@-]{0,63}$",
        length: 1..=64,
        example: "helpdesk",
        check: |_text| Ok(()),
    }
}

const LONGEST_GRACE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

text_scalar! {
    /// How long the key of before a rotation is accepted: a whole number of `s`, `m`, `h` or `days`, up to 30 days.
    pub(super) struct Grace {
        format: "grace",
        pattern: concat!(
            "^(?:(?:0|[1-9][0-9]{0,5})s",
            "|(?:0|[1-9][0-9]{0,3})m",
            "|(?:0|[1-9][0-9]?|[1-6][0-9]{2}|7[01][0-9]|720)h",
            "|(?:[0-9]|[12][0-9]|30)(?:d|day|days))$"
        ),
        length: 2..=7,
        example: "24h",
        check: |text| match humantime::parse_duration(text) {
            Ok(duration) if duration <= LONGEST_GRACE => Ok(()),
            Ok(_) | Err(_) => Err("must be a duration from 0s to 30days, such as 0s, 90m, 24h or 7days".to_owned()),
        },
    }
}

impl Grace {
    /// The duration.
    pub(super) fn duration(&self) -> Duration {
        duration_of(self.as_str())
    }
}

/// A key to create.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none, example, rename = "NewApiKey")]
pub(super) struct NewApiKeyBody {
    /// Its name, which no key has or had: the audit trail names keys by it.
    name: KeyNameText,
    /// What it allows: `viewer` reads, except profiles; `operator` also changes users, with their devices, sessions, profiles and links; `admin` may
    /// do all; `node` registers servers, and nothing else.
    role: RoleText,
    /// Whose it is, for people.
    owner: Option<FreeText>,
    /// When it stops being valid, in the future; never when it is left out.
    expires_at: Option<Timestamp>,
    /// The only pools that it is for; all when it is left out.
    #[oai(validator(min_items = 1, max_items = 64))]
    pools: Option<Vec<PoolText>>,
    /// The only groups that it is for; all when it is left out.
    #[oai(validator(min_items = 1, max_items = 64))]
    groups: Option<Vec<GroupText>>,
}

/// How to rotate a key.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub(super) struct ApiKeyRotation {
    /// How long the key of before is still accepted, 0s to 30days: a whole number of `s`, `m`, `h` or `days`; 24h by default.
    pub(super) grace: Option<Grace>,
}

/// What is known of a key. The key itself is stored nowhere.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub(super) struct ApiKey {
    /// Its id, for the paths below `/api/api-keys`. Keys are listed by it, the highest first.
    id: i64,
    /// Its name. The audit trail names who used it `key:<name>`.
    name: String,
    /// What it allows.
    role: RoleText,
    /// Whose it is.
    owner: Option<String>,
    /// The first characters of the key. Absent for that of `API_KEY`, and for one that was not made by this API.
    prefix: Option<String>,
    /// `active`: it is accepted. `expired`: its time is over. `revoked`: it is not accepted any more.
    state: KeyStateText,
    /// The only pools that it is for; absent: all.
    pools: Option<Vec<String>>,
    /// The only groups that it is for; absent: all.
    groups: Option<Vec<String>>,
    /// Who created it: `key:<name>`, or `system`.
    created_by: String,
    /// When it was created.
    created_at: Timestamp,
    /// When it stops being valid; absent: never.
    expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    last_used_at: Option<Timestamp>,
    /// From where it was last used.
    last_used_address: Option<String>,
    /// When it was last rotated.
    rotated_at: Option<Timestamp>,
    /// Until when the key of before the rotation is accepted; absent: it is not.
    previous_valid_until: Option<Timestamp>,
    /// When it was revoked.
    revoked_at: Option<Timestamp>,
}

/// A key with its secret, which is shown only once.
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub(super) struct ShownApiKey {
    /// What the caller sends as `X-API-Key` or as a bearer token. A secret.
    pub(super) key: String,
    /// What is known of it.
    pub(super) about: ApiKey,
}

#[derive(ApiResponse)]
pub(super) enum ApiKeyCreated {
    /// The key was created.
    #[oai(status = 201)]
    Created(
        Json<ShownApiKey>,
        /// The path of the key.
        #[oai(header = "Location")]
        String,
        /// Always `no-store`.
        #[oai(header = "Cache-Control")]
        String,
    ),
}

#[derive(ApiResponse)]
pub(super) enum ApiKeyRotated {
    /// The key has another secret.
    #[oai(status = 200)]
    Done(
        Json<ShownApiKey>,
        /// Always `no-store`.
        #[oai(header = "Cache-Control")]
        String,
    ),
}

#[derive(Debug, ApiResponse)]
pub(super) enum ApiKeyRevoked {
    /// The key is not accepted any more.
    #[oai(status = 204)]
    Done,
}

impl NewApiKeyBody {
    pub(super) fn into_new(self) -> Result<NewApiKey, ApiError> {
        let groups = |groups: Vec<GroupText>| groups.into_iter().map(|group| group.0).collect::<Vec<GroupName>>();
        Ok(NewApiKey {
            name: self.name.into_string(),
            role: self.role.0,
            owner: self.owner.map(FreeText::into_string),
            expires_at: self.expires_at.map(in_the_future).transpose()?,
            pools: self.pools.map(|pools| pools.into_iter().map(|pool| pool.0).collect()),
            groups: self.groups.map(groups),
        })
    }
}

impl ApiKey {
    pub(super) fn of(view: ApiKeyView) -> Self {
        Self {
            id: view.id,
            name: view.name,
            role: RoleText(view.role),
            owner: view.owner,
            prefix: view.prefix,
            state: KeyStateText(view.state),
            pools: view.pools,
            groups: view.groups,
            created_by: view.created_by,
            created_at: view.created_at.into(),
            expires_at: view.expires_at.map(Into::into),
            last_used_at: view.last_used_at.map(Into::into),
            last_used_address: view.last_used_address.map(|address| address.ip().to_string()),
            rotated_at: view.rotated_at.map(Into::into),
            previous_valid_until: view.previous_valid_until.map(Into::into),
            revoked_at: view.revoked_at.map(Into::into),
        }
    }
}

impl ApiKeyCreated {
    pub(super) fn new(shown: ShownApiKey) -> Self {
        let location = format!("/api/api-keys/{}", shown.about.id);
        Self::Created(Json(shown), location, "no-store".to_owned())
    }
}

impl ApiKeyRotated {
    pub(super) fn new(shown: ShownApiKey) -> Self {
        Self::Done(Json(shown), "no-store".to_owned())
    }
}

impl Example for NewApiKeyBody {
    fn example() -> Self {
        // It is valid; the type has no other way in.
        let Ok(name) = "helpdesk".parse() else {
            unreachable!("the example is valid");
        };
        Self {
            name,
            role: RoleText(Role::Operator),
            owner: "Jane Doe".parse().ok(),
            expires_at: DateTime::from_timestamp(1_900_000_000, 0).map(Into::into),
            pools: None,
            groups: "staff".parse().ok().map(|group| vec![GroupText(group)]),
        }
    }
}

impl Example for ApiKeyRotation {
    fn example() -> Self {
        Self {
            grace: "24h".parse().ok(),
        }
    }
}

impl Example for ApiKey {
    fn example() -> Self {
        let at = |seconds| Timestamp::from(DateTime::from_timestamp(seconds, 0).unwrap_or_default());
        Self {
            id: 7,
            name: "helpdesk".to_owned(),
            role: RoleText(Role::Operator),
            owner: Some("Jane Doe".to_owned()),
            prefix: Some("vpnm_4iGfT0q".to_owned()),
            state: KeyStateText(KeyState::Active),
            pools: None,
            groups: Some(vec!["staff".to_owned()]),
            created_by: "key:admin".to_owned(),
            created_at: at(1_795_000_000),
            expires_at: Some(at(1_900_000_000)),
            last_used_at: Some(at(1_795_003_600)),
            last_used_address: Some("192.0.2.7".to_owned()),
            rotated_at: None,
            previous_valid_until: None,
            revoked_at: None,
        }
    }
}

impl Example for ShownApiKey {
    fn example() -> Self {
        Self {
            key: "vpnm_...".to_owned(),
            about: ApiKey::example(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grace_time_is_none_or_up_to_thirty_days() {
        for (text, seconds) in [
            ("0s", Some(0)),
            ("0m", Some(0)),
            ("24h", Some(86_400)),
            ("720h", Some(2_592_000)),
            ("30days", Some(2_592_000)),
            ("999999s", Some(999_999)),
            ("9999m", Some(599_940)),
            ("721h", None),
            ("31d", None),
            ("1h 30m", None),
            ("01s", None),
            ("0", None),
        ] {
            let grace = text.parse::<Grace>().ok().map(|grace| grace.duration().as_secs());
            assert_eq!(grace, seconds, "{text}");
        }
    }

    #[test]
    fn roles_and_states_are_found_by_their_words() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(RoleText(role)));
        }
        for state in KeyState::ALL {
            assert_eq!(state.as_str().parse(), Ok(KeyStateText(state)));
        }
        assert!("root".parse::<RoleText>().is_err());
    }
}
