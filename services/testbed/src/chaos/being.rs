//! What a user is, as far as the API shows it.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{
    device::{Devices, devices_shown},
    group::Group,
    own_limits::OwnLimits,
};

/// The state of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Being {
    /// Never created, or deleted.
    Absent,
    Living(Living, Devices),
}

impl Being {
    /// Reads a user and the list of its devices as the API shows them.
    pub(super) fn shown(user: &Value, devices: &[Value]) -> Option<Self> {
        Some(Self::Living(Living::shown(user)?, devices_shown(devices)?))
    }
}

/// A user that exists, without its devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Living {
    pub(super) active: bool,
    pub(super) expires_at: Option<DateTime<Utc>>,
    pub(super) group: Group,
    pub(super) limits: OwnLimits,
}

impl Living {
    /// Reads a user as the API shows it, or as the audit trail does.
    pub(super) fn shown(user: &Value) -> Option<Self> {
        let expires_at = match &user["expires_at"] {
            Value::String(text) => Some(DateTime::parse_from_rfc3339(text).ok()?.to_utc()),
            Value::Null => None,
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => return None,
        };
        let group = user["group"].as_str().or(user["group_name"].as_str())?;
        Some(Self {
            active: user["active"].as_bool()?,
            expires_at,
            group: Group::named(group)?,
            limits: OwnLimits::shown(&user["limits"])?,
        })
    }
}
