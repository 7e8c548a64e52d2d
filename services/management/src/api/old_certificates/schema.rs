//! A certificate of an old server in the API: the bodies of requests and of answers.

use std::str::FromStr as _;

use chrono::{DateTime, Utc};
use poem_openapi::Object;
use poem_openapi::types::{Example, MaybeUndefined};
use serde_json::Value;
use vpnmanager_entities::old_certificate;
use vpnmanager_nats::ids::CommonName;
use vpnmanager_openapi::time::Timestamp;
use vpnmanager_openapi::{Clearable, scalar_impls};

/// A common name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CommonNameText(pub(super) CommonName);

scalar_impls! {
    CommonNameText, "string", "common-name",
    |schema| {
        schema.pattern = Some("^[A-Za-z0-9][A-Za-z0-9._@-]*$".to_owned());
        schema.min_length = Some(1);
        schema.max_length = Some(CommonName::MAX_LENGTH);
        schema.example = Some(Value::from("alice"));
    },
    |text| CommonName::from_str(text).map(CommonNameText),
    |value| Value::from(value.0.as_str())
}

/// A certificate of an old server.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub(super) struct OldCertificate {
    /// The end-node that accepts it.
    server_id: String,
    /// Its common name.
    common_name: String,
    /// The serial number, decimal, of the newest certificate of that name that the old authority has not revoked.
    serial: String,
    /// When that one ends.
    not_after: Timestamp,
    /// Serial numbers of certificates of that name that are refused.
    revoked_serials: Vec<String>,
    /// Until when it is accepted; absent: as long as it is valid.
    expires_at: Option<Timestamp>,
    /// When it was imported.
    created_at: Timestamp,
    /// When a session with it was last seen alive, by the server's clock: to a minute while it lives. Absent until there was one.
    last_access: Option<Timestamp>,
}

/// The certificates of old servers that a user has.
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub(super) struct OldCertificates {
    /// The certificates, in the order of their import.
    items: Vec<OldCertificate>,
}

/// What to change.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub(super) struct OldCertificateChanges {
    /// Until when it is accepted; `null`: as long as it is valid.
    expires_at: Clearable<Timestamp>,
}

impl OldCertificateChanges {
    /// `None`: nothing is said.
    pub(super) fn expires_at(self) -> Option<Option<DateTime<Utc>>> {
        let said = self.expires_at.said()?;
        Some(said.map(Timestamp::to_utc))
    }
}

impl OldCertificate {
    pub(super) fn of(row: old_certificate::Model) -> Self {
        Self {
            server_id: row.server_id.to_string(),
            common_name: row.common_name.to_string(),
            serial: row.serial.to_string(),
            not_after: row.not_after.into(),
            revoked_serials: row.revoked_serials,
            expires_at: row.expires_at.map(Timestamp::from),
            created_at: row.created_at.into(),
            last_access: row.last_access.map(Timestamp::from),
        }
    }
}

impl OldCertificates {
    pub(super) fn of(rows: Vec<old_certificate::Model>) -> Self {
        Self {
            items: rows.into_iter().map(OldCertificate::of).collect(),
        }
    }
}

impl Example for OldCertificate {
    fn example() -> Self {
        let at = |seconds| Timestamp::from(DateTime::from_timestamp(seconds, 0).unwrap_or_default());
        Self {
            server_id: "endnode-1".to_owned(),
            common_name: "alice".to_owned(),
            serial: "258".to_owned(),
            not_after: at(1_858_072_000),
            revoked_serials: vec!["257".to_owned()],
            expires_at: Some(at(1_803_000_000)),
            created_at: at(1_795_000_000),
            last_access: None,
        }
    }
}

impl Example for OldCertificates {
    fn example() -> Self {
        Self {
            items: vec![OldCertificate::example()],
        }
    }
}

impl Example for OldCertificateChanges {
    fn example() -> Self {
        let at = Timestamp::from(DateTime::from_timestamp(1_803_000_000, 0).unwrap_or_default());
        Self {
            expires_at: Clearable(MaybeUndefined::Value(at)),
        }
    }
}
