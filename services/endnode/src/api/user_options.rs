//! The optional fields of a user: the same where a list gives them and where this node shows them.

use chrono::{DateTime, Utc};
use poem_openapi::{Object, types::Example};
use vpnmanager_nats::{commands::PutUser, groups::GroupName};
use vpnmanager_openapi::time::Timestamp;

use super::scalars::GroupText;

/// The optional fields of a user.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none)]
pub(super) struct UserOptions {
    /// From this moment on the user is refused and cut.
    expires_at: Option<Timestamp>,
    /// The group that the user is in; `default` where none is given.
    group: Option<GroupText>,
    /// `true`: management counts the traffic of the user against a quota of its own, so this node tells of it every few seconds.
    metered: Option<bool>,
}

impl UserOptions {
    /// Those of a user that this node holds.
    pub(super) fn of_held(put: &PutUser) -> Self {
        let group = put.group.as_ref().map_or(GroupName::DEFAULT, GroupName::as_str);
        Self {
            expires_at: put.expires_at.map(Timestamp::from),
            group: group.parse().ok(),
            metered: put.metered.then_some(true),
        }
    }

    /// Those of a user that is to be created: the rest is up to management.
    pub(super) fn of_create(expires_at: Option<DateTime<Utc>>) -> Self {
        Self {
            expires_at: expires_at.map(Timestamp::from),
            group: None,
            metered: None,
        }
    }

    /// The command with these options. The error is for people.
    pub(super) fn set_in(self, put: PutUser) -> Result<PutUser, String> {
        let Self {
            expires_at,
            group,
            metered,
        } = self;
        let group = group.map(|group| group.to_group()).transpose()?;
        Ok(PutUser {
            expires_at: expires_at.map(Timestamp::to_utc),
            group: group.filter(|group| !group.is_default()),
            metered: metered.unwrap_or(false),
            ..put
        })
    }
}

impl Example for UserOptions {
    fn example() -> Self {
        Self {
            expires_at: "2027-03-01T12:00:00Z".parse().ok(),
            group: "engineering".parse().ok(),
            metered: None,
        }
    }
}
