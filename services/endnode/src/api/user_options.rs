//! The optional fields of a user: the same where a list gives them and where this node shows them.

use chrono::{DateTime, Utc};
use poem_openapi::{Object, types::Example};
use vpnmanager_nats::{
    commands::PutUser,
    groups::GroupName,
    ids::InvalidId,
    old_certificates::{self, SerialNumber},
};
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
    /// The user's certificates of the server that was there before: this node lets them in at its old listener, and there alone.
    #[oai(validator(max_items = 1000))]
    old_certificates: Option<Vec<OldCertificate>>,
}

/// A certificate of the server that was there before.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none)]
struct OldCertificate {
    /// Its common name.
    #[oai(validator(max_length = 64))]
    common_name: String,
    /// From this moment on it is refused. Without it, it is accepted as long as it is valid.
    expires_at: Option<Timestamp>,
    /// The serial numbers, decimal, of certificates with this name that were revoked.
    #[oai(validator(max_items = 1000))]
    revoked: Option<Vec<String>>,
}

impl UserOptions {
    /// Those of a user that this node holds.
    pub(super) fn of_held(put: &PutUser) -> Self {
        let group = put.group.as_ref().map_or(GroupName::DEFAULT, GroupName::as_str);
        Self {
            expires_at: put.expires_at.map(Timestamp::from),
            group: group.parse().ok(),
            metered: put.metered.then_some(true),
            old_certificates: (!put.old_certificates.is_empty())
                .then(|| put.old_certificates.iter().map(OldCertificate::of).collect()),
        }
    }

    /// Those of a user that is to be created: the rest is up to management.
    pub(super) fn of_create(expires_at: Option<DateTime<Utc>>) -> Self {
        Self {
            expires_at: expires_at.map(Timestamp::from),
            group: None,
            metered: None,
            old_certificates: None,
        }
    }

    /// The command with these options. The error is for people.
    pub(super) fn set_in(self, put: PutUser) -> Result<PutUser, String> {
        let Self {
            expires_at,
            group,
            metered,
            old_certificates,
        } = self;
        let group = group.map(|group| group.to_group()).transpose()?;
        let old_certificates = old_certificates.into_iter().flatten().map(OldCertificate::into_wire);
        Ok(PutUser {
            expires_at: expires_at.map(Timestamp::to_utc),
            group: group.filter(|group| !group.is_default()),
            metered: metered.unwrap_or(false),
            old_certificates: old_certificates
                .collect::<Result<_, InvalidId>>()
                .map_err(|error| error.to_string())?,
            ..put
        })
    }
}

impl OldCertificate {
    fn of(held: &old_certificates::OldCertificate) -> Self {
        let revoked = held.revoked.iter().map(ToString::to_string);
        Self {
            common_name: held.common_name.to_string(),
            expires_at: held.expires_at.map(Timestamp::from),
            revoked: (!held.revoked.is_empty()).then(|| revoked.collect()),
        }
    }

    fn into_wire(self) -> Result<old_certificates::OldCertificate, InvalidId> {
        let revoked = self.revoked.into_iter().flatten();
        Ok(old_certificates::OldCertificate {
            common_name: self.common_name.parse()?,
            expires_at: self.expires_at.map(Timestamp::to_utc),
            revoked: revoked
                .map(|serial| serial.parse::<SerialNumber>())
                .collect::<Result<_, InvalidId>>()?,
        })
    }
}

impl Example for UserOptions {
    fn example() -> Self {
        Self {
            expires_at: "2027-03-01T12:00:00Z".parse().ok(),
            group: "engineering".parse().ok(),
            metered: None,
            old_certificates: None,
        }
    }
}
