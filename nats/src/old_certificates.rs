//! Certificates that were made before there was VPN Manager, by the certificate authority of a server that a node took over.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    ids::{CommonName, InvalidId},
    text::text_id,
    times,
};

/// One of them, told by its common name: the authority of the old server gave it out once, or again after it was revoked. It is good at the
/// listener of that server alone, which trusts no other authority, so it never passes for a credential of the fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OldCertificate {
    /// Its common name. Another server may have given out the same one.
    pub common_name: CommonName,
    /// Until when it is accepted; `None`: as long as it is valid. The node enforces it by its own clock, also without management.
    #[serde(
        default,
        deserialize_with = "times::bounded_option",
        skip_serializing_if = "Option::is_none"
    )]
    pub expires_at: Option<DateTime<Utc>>,
    /// Certificates with this common name that were revoked, and stay so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revoked: Vec<SerialNumber>,
}

/// The serial number of a certificate, decimal, as OpenVPN names the files of its folder of revoked certificates (`crl-verify dir`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(
    feature = "sea-orm",
    derive(sea_orm::DeriveValueType),
    sea_orm(value_type = "String")
)]
#[serde(try_from = "String", into = "String")]
pub struct SerialNumber(String);

impl SerialNumber {
    /// The most digits: those of the greatest number of 20 bytes (RFC 5280, section 4.1.2.2).
    pub const MAX_LENGTH: usize = 49;
}

impl FromStr for SerialNumber {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let is_plain = text == "0" || !text.starts_with('0');
        let is_number = (1..=Self::MAX_LENGTH).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        if is_plain && is_number {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId::new(
                "a serial number",
                "1 to 49 decimal digits without leading zeros",
            ))
        }
    }
}

text_id!(SerialNumber);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_serial_number_is_decimal_and_fits_a_file_name() {
        for good in ["0", "1", "258", &"9".repeat(49)] {
            assert_eq!(good.parse::<SerialNumber>().expect(good).as_str(), good);
        }
        for bad in ["", "-1", "+1", "01", "0x1", "1a", "1/2", " 1", "1\n", &"9".repeat(50)] {
            assert!(bad.parse::<SerialNumber>().is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn on_the_wire_what_is_not_said_is_absent_and_all_is_checked() {
        let plain = json!({ "common_name": "alice" });
        let read: OldCertificate = serde_json::from_value(plain.clone()).expect("a certificate");
        assert_eq!((read.expires_at, read.revoked.len()), (None, 0));
        assert_eq!(serde_json::to_value(&read).expect("json"), plain);

        for odd in [
            json!({ "common_name": "../alice" }),
            json!({ "common_name": "DEFAULT" }),
            json!({ "common_name": "alice", "expires_at": "+262142-12-31T23:59:59Z" }),
            json!({ "common_name": "alice", "revoked": ["../1"] }),
        ] {
            assert!(serde_json::from_value::<OldCertificate>(odd.clone()).is_err(), "{odd}");
        }
    }
}
