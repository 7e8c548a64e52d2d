//! Scalar types of the API: each parses its text and describes itself in the API description.

use std::net::IpAddr;
use std::str::FromStr;

use chrono::{Datelike as _, NaiveDate};
use serde_json::Value;
use vpnmanager_entities::join_token::TokenState;
use vpnmanager_nats::device::DeviceName;
use vpnmanager_nats::groups::GroupName;
use vpnmanager_nats::heartbeats::OpenvpnState;
use vpnmanager_nats::listeners::Listener;
use vpnmanager_nats::username::Username;
pub(super) use vpnmanager_openapi::contract::scalars::{ServerIdText, VersionText};
use vpnmanager_openapi::{scalar_impls, text_scalar};

use super::address::{ipv4, ipv6, ipv6_with_ipv4};
use crate::domain::audit_action::AuditAction;
use crate::domain::lifetime::Lifetime;
use crate::domain::session_id::SessionId;

/// A username of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UsernameText(pub(super) Username);

/// The id of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SessionIdText(pub(super) SessionId);

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
    SessionIdText, "string", "session-id",
    |schema| {
        schema.pattern = Some(SessionId::PATTERN.to_owned());
        schema.min_length = Some(5);
        schema.max_length = Some(SessionId::MAX_LENGTH);
        schema.example = Some(Value::from("endnode-1.1795000000.7"));
    },
    |text| SessionId::from_str(text).map(SessionIdText),
    |value| Value::from(value.0.to_string())
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

/// A listener of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ListenerText(pub(super) Listener);

scalar_impls! {
    ListenerText, "string", "listener",
    |schema| {
        schema.pattern = Some(Listener::PATTERN.to_owned());
        schema.min_length = Some(Listener::MIN_LENGTH);
        schema.max_length = Some(Listener::MAX_LENGTH);
        schema.example = Some(Value::from("udp:1194"));
    },
    |text| Listener::from_str(text).map(ListenerText),
    |value| Value::from(value.0.to_string())
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
            match text.bytes().all(plain) && text.starts_with(|first: char| first.is_ascii_alphanumeric()) {
                true => Ok(()),
                false => Err("must be a letter or digit, then letters, digits, '.', '_', '@' or '-'".to_owned()),
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

/// The state of a join token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TokenStateText(pub(super) TokenState);

scalar_impls! {
    TokenStateText, "string", "token-state",
    |schema| {
        schema.enum_items = TokenState::ALL.iter().map(|state| Value::from(state.as_str())).collect();
        schema.example = Some(Value::from(TokenState::Open.as_str()));
    },
    |text| TokenStateText::from_str(text),
    |value| Value::from(value.0.as_str())
}

impl FromStr for TokenStateText {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut states = TokenState::ALL.into_iter();
        let found = states.find(|state| state.as_str() == text);
        found.map(Self).ok_or("must be open, used or expired")
    }
}

/// What [`AddressText`] takes.
const ADDRESS: &str = concat!("^(?:", ipv4!(), "|", ipv6!(), "|", ipv6_with_ipv4!(), ")$");

/// An IP address. An IPv4 address is one however it is written: `::ffff:10.8.0.7` is 10.8.0.7.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AddressText(pub(super) IpAddr);

scalar_impls! {
    AddressText, "string", "ip-address",
    |schema| {
        schema.pattern = Some(ADDRESS.to_owned());
        schema.min_length = Some(2);
        schema.max_length = Some(45);
        schema.example = Some(Value::from("10.8.0.7"));
    },
    |text| AddressText::from_str(text),
    |value| Value::from(value.0.to_string())
}

impl FromStr for AddressText {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let address = text.parse::<IpAddr>();
        let address = address.map_err(|_| "must be an address such as 10.8.0.7 or 2001:db8::7")?;
        Ok(Self(address.to_canonical()))
    }
}

/// A day, in UTC, in the years 1970 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DayText(pub(super) NaiveDate);

scalar_impls! {
    DayText, "string", "date",
    |schema| {
        schema.pattern = Some("^(?:19[7-9][0-9]|[2-9][0-9]{3})-".to_owned());
        schema.example = Some(Value::from("2027-03-01"));
    },
    |text| DayText::from_str(text),
    |value| Value::from(value.0.to_string())
}

impl FromStr for DayText {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match NaiveDate::parse_from_str(text, "%Y-%m-%d") {
            // With all its zeros.
            Ok(day) if (1970..=9999).contains(&day.year()) && day.to_string() == text => Ok(Self(day)),
            Ok(_) | Err(_) => Err("must be a day such as 2027-03-01, in the years 1970 to 9999"),
        }
    }
}

/// The id of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct IdText(pub(super) i64);

/// The highest id that every reader of JSON keeps as it is, 2^53 - 1. PostgreSQL counts from 1.
const HIGHEST_ID: i64 = 9_007_199_254_740_991;

scalar_impls! {
    IdText, "integer", "int64",
    |schema| {
        schema.minimum = Some(1.0);
        schema.maximum = Some(9_007_199_254_740_991.0);
        schema.example = Some(Value::from(42));
    },
    |text| IdText::from_str(text),
    |value| Value::from(value.0)
}

impl FromStr for IdText {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse::<i64>() {
            // No sign, and no zeros before it.
            Ok(id) if (1..=HIGHEST_ID).contains(&id) && id.to_string() == text => Ok(Self(id)),
            Ok(_) | Err(_) => Err("must be an id as the list has it, such as 42"),
        }
    }
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

/// A device of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DeviceText(pub(super) DeviceName);

scalar_impls! {
    DeviceText, "string", "device",
    |schema| {
        schema.pattern = Some(DeviceName::PATTERN.to_owned());
        schema.min_length = Some(1);
        schema.max_length = Some(DeviceName::MAX_LENGTH);
        schema.example = Some(Value::from("laptop"));
    },
    |text| DeviceName::from_str(text).map(DeviceText),
    |value| Value::from(value.0.as_str())
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GroupText(pub(super) GroupName);

scalar_impls! {
    GroupText, "string", "group",
    |schema| {
        schema.pattern = Some(GroupName::PATTERN.to_owned());
        schema.min_length = Some(1);
        schema.max_length = Some(GroupName::MAX_LENGTH);
        schema.example = Some(Value::from(GroupName::DEFAULT));
    },
    |text| GroupName::from_str(text).map(GroupText),
    |value| Value::from(value.0.as_str())
}

/// How long new members of a group have access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LifetimeText(pub(super) Lifetime);

scalar_impls! {
    LifetimeText, "string", "lifetime",
    |schema| {
        schema.pattern = Some(Lifetime::PATTERN.to_owned());
        schema.min_length = Some(2);
        schema.max_length = Some(8);
        schema.example = Some(Value::from("90days"));
    },
    |text| Lifetime::from_str(text).map(LifetimeText),
    |value| Value::from(value.0.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_written_in_one_way() {
        for (text, id) in [
            ("1", Some(1)),
            ("9007199254740991", Some(HIGHEST_ID)),
            ("9007199254740992", None),
            ("9223372036854775808", None),
            ("0", None),
            ("-1", None),
            ("+1", None),
            ("01", None),
            ("1.0", None),
            ("", None),
        ] {
            assert_eq!(text.parse::<IdText>().ok().map(|id| id.0), id, "{text}");
        }
    }

    #[test]
    fn an_address_is_read_in_each_of_its_forms_and_each_is_described() {
        let pattern = vpnmanager_openapi::__regex::Regex::new(ADDRESS).expect("a pattern");
        for (text, address) in [
            ("10.8.0.7", Some("10.8.0.7")),
            ("2001:DB8:0::7", Some("2001:db8::7")),
            ("::ffff:10.8.0.7", Some("10.8.0.7")),
            ("::FFFF:a08:7", Some("10.8.0.7")),
            ("0:0:0:0:0:ffff:10.8.0.7", Some("10.8.0.7")),
            ("0::ffff:10.8.0.7", Some("10.8.0.7")),
            ("64:ff9b::10.8.0.7", Some("64:ff9b::a08:7")),
            ("1:2:3:4:5::10.8.0.7", Some("1:2:3:4:5:0:a08:7")),
            ("1:2:3:4::5:10.8.0.7", Some("1:2:3:4:0:5:a08:7")),
            ("::1:2:3:4:5:10.8.0.7", Some("0:1:2:3:4:5:a08:7")),
            ("::", Some("::")),
            ("::ffff:10.8.0.07", None),
            ("::ffff:10.8.0", None),
            ("10.8.0.7::", None),
            ("1:2:3:4:5:6:7:10.8.0.7", None),
            ("1:2:3:4:5:6::10.8.0.7", None),
            ("::1:2:3:4:5:6:10.8.0.7", None),
            ("1:2:3:4:5:10.8.0.7", None),
            ("10.8.0.07", None),
            ("10.8.0.0/24", None),
            ("10.8.0.7:1194", None),
            ("alice", None),
            ("", None),
        ] {
            let read = text.parse::<AddressText>().ok().map(|address| address.0.to_string());
            assert_eq!(read.as_deref(), address, "{text}");
            assert_eq!(pattern.is_match(text), address.is_some(), "{text}");
        }
    }

    #[test]
    fn a_listener_is_described_as_it_is_read() {
        let pattern = vpnmanager_openapi::__regex::Regex::new(Listener::PATTERN).expect("a pattern");
        for (text, is_one) in [
            ("udp:1194", true),
            ("tcp:1", true),
            ("tcp:65535", true),
            ("tcp:65536", false),
            ("udp:99999", false),
            ("udp:0", false),
            ("udp:01", false),
            ("udp:", false),
            ("UDP:1194", false),
            ("sctp:1194", false),
            ("udp:1194,tcp:443", false),
            ("", false),
        ] {
            assert_eq!(Listener::from_str(text).is_ok(), is_one, "{text}");
            assert_eq!(pattern.is_match(text), is_one, "{text}");
        }
    }

    #[test]
    fn a_day_is_written_in_one_way() {
        for (text, is_day) in [
            ("2027-03-01", true),
            ("2028-02-29", true),
            ("1970-01-01", true),
            ("9999-12-31", true),
            ("2027-02-29", false),
            ("2027-3-1", false),
            ("+2027-03-1", false),
            ("1969-12-31", false),
            ("10000-01-01", false),
            ("2027-03-01T00:00:00Z", false),
            ("", false),
        ] {
            assert_eq!(text.parse::<DayText>().is_ok(), is_day, "{text}");
        }
    }

    #[test]
    fn the_state_of_a_token_is_found_by_its_word() {
        for state in TokenState::ALL {
            assert_eq!(state.as_str().parse(), Ok(TokenStateText(state)));
        }
        assert!("gone".parse::<TokenStateText>().is_err());
    }
}
