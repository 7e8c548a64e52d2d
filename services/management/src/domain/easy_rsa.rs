//! The list of certificates as OpenSSL and easy-rsa keep it (`index.txt`): a line for each, with its state, when it ends, when it was revoked, its
//! serial number, its file and its subject.

use chrono::{DateTime, Datelike as _, Utc};
use vpnmanager_nats::ids::CommonName;

/// A certificate of the list.
#[derive(Debug, Clone, Copy)]
pub struct Listed<'a> {
    /// Its common name.
    pub common_name: &'a CommonName,
    /// Its serial number, hex.
    pub serial: &'a str,
    /// When it ends.
    pub not_after: DateTime<Utc>,
    /// When it was revoked, if it was.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// Its line, with the end of the line.
pub fn index_line(certificate: Listed<'_>, now: DateTime<Utc>) -> String {
    let Listed {
        common_name,
        serial,
        not_after,
        revoked_at,
    } = certificate;
    let state = match revoked_at {
        Some(_) => 'R',
        None if not_after <= now => 'E',
        None => 'V',
    };
    let revoked = revoked_at.map(asn1_time).unwrap_or_default();
    format!(
        "{state}\t{}\t{revoked}\t{}\tunknown\t/CN={common_name}\n",
        asn1_time(not_after),
        serial_number(serial)
    )
}

/// UTCTime until 2049, and GeneralizedTime from then on (RFC 5280, section 4.1.2.5).
fn asn1_time(time: DateTime<Utc>) -> String {
    let form = match time.year() {
        1950..=2049 => "%y%m%d%H%M%SZ",
        _ => "%Y%m%d%H%M%SZ",
    };
    time.format(form).to_string()
}

/// As OpenSSL prints it: capital letters, whole bytes, and none of zeros before them.
fn serial_number(hex: &str) -> String {
    let mut digits = hex.to_ascii_uppercase();
    while digits.len() > 2 && digits.starts_with("00") {
        digits.drain(..2);
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_what_openssl_writes() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().expect("a time");
        let name: CommonName = "alice.k3nq6zt5m7wd2xya".parse().expect("a common name");
        let now = at("2027-01-15T08:00:00Z");
        let listed = |not_after, revoked_at| Listed {
            common_name: &name,
            serial: "00ab01",
            not_after,
            revoked_at,
        };
        for (certificate, line) in [
            (listed(at("2036-01-01T00:00:00Z"), None), "V\t360101000000Z\t\tAB01"),
            (listed(at("2026-01-01T00:00:00Z"), None), "E\t260101000000Z\t\tAB01"),
            (listed(at("2050-01-01T00:00:00Z"), None), "V\t20500101000000Z\t\tAB01"),
            (
                listed(at("2036-01-01T00:00:00Z"), Some(now)),
                "R\t360101000000Z\t270115080000Z\tAB01",
            ),
        ] {
            let expected = format!("{line}\tunknown\t/CN=alice.k3nq6zt5m7wd2xya\n");
            assert_eq!(index_line(certificate, now), expected);
        }
    }
}
