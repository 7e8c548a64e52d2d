//! Scalar types of the API: each parses its text and describes itself in the API description.

use std::str::FromStr;

use serde_json::Value;
use vpnmanager_nats::heartbeats::OpenvpnState;
use vpnmanager_nats::username::Username;
pub(super) use vpnmanager_openapi::contract::scalars::{ServerIdText, VersionText};
use vpnmanager_openapi::{scalar_impls, text_scalar};

use crate::domain::audit_action::AuditAction;

/// A username of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UsernameText(pub(super) Username);

/// The state of OpenVPN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OpenvpnStateText(pub(super) OpenvpnState);

scalar_impls! {
    UsernameText, "string", "username",
    |schema| {
        schema.pattern = Some(Username::PATTERN.to_owned());
        schema.min_length = Some(1);
        schema.max_length = Some(Username::MAX_LENGTH);
        schema.example = Some(Value::from("alice"));
    },
    |text| Username::from_str(text).map(UsernameText),
    |value| Value::from(value.0.as_str())
}

scalar_impls! {
    OpenvpnStateText, "string", "openvpn-state",
    |schema| {
        schema.enum_items = OpenvpnState::ALL.iter().map(|state| Value::from(state.as_str())).collect();
        schema.example = Some(Value::from("up"));
    },
    |text| OpenvpnState::from_str(text).map(OpenvpnStateText),
    |value| Value::from(value.0.as_str())
}

text_scalar! {
    /// The beginning of a username.
    pub(super) struct UsernamePrefix {
        format: "username-prefix",
        pattern: Username::PATTERN,
        length: 1..=64,
        example: "ali",
        check: |text| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._@-".contains(&byte);
            match text.bytes().all(plain) {
                true => Ok(()),
                false => Err("must be letters, digits, '.', '_', '@' or '-'".to_owned()),
            }
        },
    }
}

/// An action of the audit trail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ActionText(pub(super) AuditAction);

scalar_impls! {
    ActionText, "string", "action",
    |schema| {
        schema.enum_items = AuditAction::ALL.iter().map(|action| Value::from(action.as_str())).collect();
        schema.example = Some(Value::from(AuditAction::UserCreated.as_str()));
    },
    |text| AuditAction::from_str(text).map(ActionText),
    |value| Value::from(value.0.as_str())
}

text_scalar! {
    /// Text for people.
    pub(super) struct FreeText {
        format: "words",
        pattern: "^[^\\x00]*$",
        length: 1..=400,
        example: "cannot bind port 1194",
        check: |_text| Ok(()),
    }
}

text_scalar! {
    /// A duration, as humantime text.
    pub(super) struct TimeToLive {
        format: "time-to-live",
        pattern: "^[0-9a-z ]+$",
        length: 2..=64,
        example: "1h",
        check: |text| match humantime::parse_duration(text) {
            Ok(_) => Ok(()),
            Err(_) => Err("must be a duration such as 30m, 1h or 2days".to_owned()),
        },
    }
}
