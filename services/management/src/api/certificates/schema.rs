//! A certificate in the API, and the words and the cursor of the list.

use std::str::FromStr as _;

use chrono::{DateTime, TimeDelta, Utc};
use poem_openapi::Object;
use poem_openapi::types::Example;
use serde_json::Value;
use vpnmanager_openapi::page::Position;
use vpnmanager_openapi::time::Timestamp;
use vpnmanager_openapi::{scalar_impls, text_scalar};

use crate::domain::certificates::kind::{CertificateKind, CertificateState};
use crate::ops::certificates::list::{CertificateView, Place};

/// What a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KindText(pub(super) CertificateKind);

scalar_impls! {
    KindText, "string", "certificate-kind",
    |schema| {
        schema.enum_items = CertificateKind::ALL.iter().map(|kind| Value::from(kind.as_str())).collect();
        schema.example = Some(Value::from(CertificateKind::Node.as_str()));
    },
    |text| CertificateKind::from_str(text).map(KindText),
    |value| Value::from(value.0.as_str())
}

/// What a certificate is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StateText(pub(super) CertificateState);

scalar_impls! {
    StateText, "string", "certificate-state",
    |schema| {
        schema.enum_items = CertificateState::ALL.iter().map(|state| Value::from(state.as_str())).collect();
        schema.example = Some(Value::from(CertificateState::Valid.as_str()));
    },
    |text| CertificateState::from_str(text).map(StateText),
    |value| Value::from(value.0.as_str())
}

text_scalar! {
    /// `cursor` of the list of certificates, unchanged from `next_cursor`: the end in microseconds, the table, and the id of the row.
    pub(super) struct CertificateCursor {
        format: "certificate-cursor",
        pattern: "^[0-9a-f]{15}[01][0-7][0-9a-f]{15}$",
        length: 32..=32,
        example: "0065b2a6b7e8000000000000000002a0",
        check: |_text| Ok(()),
    }
}

impl CertificateCursor {
    /// The place that the page begins after.
    pub(super) fn position(&self) -> Place {
        let text = self.as_str();
        // Whatever keeps the pattern is a place: so many microseconds are less than 40,000 years.
        let number = |digits: Option<&str>| i64::from_str_radix(digits.unwrap_or_default(), 16).unwrap_or_default();
        Place {
            not_after: DateTime::from_timestamp_micros(number(text.get(..15))).unwrap_or_default(),
            of_user: text.get(15..16) == Some("1"),
            id: number(text.get(16..)),
        }
    }
}

impl Position for Place {
    fn to_cursor(&self) -> String {
        let micros = self.not_after.timestamp_micros().max(0);
        format!("{micros:015x}{}{:016x}", u8::from(self.of_user), self.id)
    }
}

/// A certificate.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub(super) struct Certificate {
    /// `ca`: the fleet's certificate authority. `node`: the OpenVPN server of a server. `bus`: the bus, with its own authority. `https`: the HTTPS of a
    /// management replica. `client`: a device of a user.
    kind: KindText,
    /// `valid`: in use. `expired`: it has ended. `revoked`: its credential was revoked. `replaced`: another one has taken its place; an OpenVPN that was
    /// not started since goes on to use it.
    state: StateText,
    /// Whose it is, as it says itself. Absent, as the next three, where it cannot be read.
    subject: Option<String>,
    /// Who signed it.
    issuer: Option<String>,
    /// Its serial number, hexadecimal.
    serial: Option<String>,
    /// SHA-256 of the certificate, hexadecimal.
    fingerprint: Option<String>,
    /// The server or the management replica that presents it; of one of a device, the server that made its key.
    server_id: Option<String>,
    /// Its user; absent once the user is forgotten.
    username: Option<String>,
    /// The device of the user.
    device: Option<String>,
    /// When it becomes valid.
    not_before: Option<Timestamp>,
    /// When it ends.
    not_after: Timestamp,
    /// How many whole days are left; 0 on the last day and after the end.
    days_left: i64,
    /// When it is renewed by itself, or soon after; absent: somebody has to renew it, or nothing does.
    renews_at: Option<Timestamp>,
}

impl Certificate {
    pub(super) fn of(view: CertificateView) -> Self {
        let not_after = view.place.not_after;
        let is_in_use = view.state == CertificateState::Valid;
        // The files of an operator are renewed by whoever made them.
        let is_foreign =
            view.kind == CertificateKind::Https && view.facts.as_ref().is_none_or(|facts| !facts.is_own_https());
        let renews_at = view.not_before.filter(|_| is_in_use && !is_foreign);
        let renews_at = renews_at.and_then(|not_before| view.kind.renews_at(not_before, not_after));
        let [subject, issuer, serial, fingerprint] = match view.facts {
            Some(facts) => [facts.subject, facts.issuer, facts.serial_hex, facts.fingerprint].map(Some),
            None => [const { None }; 4],
        };
        Self {
            kind: KindText(view.kind),
            state: StateText(view.state),
            subject,
            issuer,
            serial,
            fingerprint,
            server_id: view.server_id,
            username: view.username.map(|name| name.to_string()),
            device: view.device.map(|device| device.to_string()),
            not_before: view.not_before.map(Timestamp::from),
            not_after: not_after.into(),
            days_left: (not_after - Utc::now()).num_days().max(0),
            renews_at: renews_at.map(Timestamp::from),
        }
    }
}

impl Example for Certificate {
    fn example() -> Self {
        let begin = DateTime::from_timestamp(1_795_000_000, 0).unwrap_or_default();
        let end = begin + TimeDelta::days(3650);
        Self {
            kind: KindText(CertificateKind::Node),
            state: StateText(CertificateState::Valid),
            subject: Some("CN=vpn-0a1b2c3d.endnode-1".to_owned()),
            issuer: Some("CN=VPN Manager CA 5f3a9c0e".to_owned()),
            serial: Some("5f3a9c0e7b0d4c2f8a1e6d3c4b5a6978".to_owned()),
            fingerprint: Some("0a".repeat(32)),
            server_id: Some("endnode-1".to_owned()),
            username: None,
            device: None,
            not_before: Some(begin.into()),
            not_after: end.into(),
            days_left: 3650,
            renews_at: CertificateKind::Node.renews_at(begin, end).map(Timestamp::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_from_its_cursor_again() {
        let end = DateTime::from_timestamp_micros(1_858_072_000_000_001).expect("a time");
        for (not_after, of_user, id) in [(end, false, 1), (end, true, i64::MAX), (DateTime::UNIX_EPOCH, true, 42)] {
            let place = Place { not_after, of_user, id };
            let cursor: CertificateCursor = place.to_cursor().parse().expect("a cursor");
            assert_eq!(cursor.position(), place);
        }
        for text in ["fffffffffffffff17fffffffffffffff", "000000000000000000000000000000000"] {
            let read = text.parse::<CertificateCursor>();
            assert_eq!(read.is_ok(), text.len() == 32, "{text}");
            if let Ok(cursor) = read {
                assert_eq!(cursor.position().to_cursor(), text);
            }
        }
    }
}
