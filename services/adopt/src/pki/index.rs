//! `index.txt`, the database of `openssl ca` (`TXT_DB` of OpenSSL): a line for each certificate, with tabs between
//! state, end, time of the revocation, serial number, file, subject.

use std::path::Path;

use chrono::{DateTime, NaiveDate, Utc};
use vpnmanager_nats::old_certificates::SerialNumber;

use crate::{
    error::ReadError,
    found::{Place, Remark},
    limits::MOST_ROWS,
    moment::is_bounded,
    serial,
};

/// A certificate, as the index knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) place: Place,
    pub(super) common_name: String,
    pub(super) serial: SerialNumber,
    pub(super) not_after: DateTime<Utc>,
    pub(super) is_revoked: bool,
}

/// What an index says. Lines that say nothing are in the remarks.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) entries: Vec<Entry>,
    pub(super) remarks: Vec<Remark>,
}

impl Index {
    pub(super) fn read(file: &Path, bytes: &[u8]) -> Result<Self, ReadError> {
        let text = String::from_utf8_lossy(bytes);
        let mut index = Self::default();
        for (number, line) in text.lines().enumerate() {
            if number == MOST_ROWS {
                return Err(ReadError::TooManyRows { file: file.to_owned() });
            }
            let line = line.trim_end_matches('\r');
            // As OpenSSL does.
            if line.starts_with('#') || line.trim().is_empty() {
                continue;
            }
            let place = Place::line(file, number as u64 + 1);
            match entry(place.clone(), line) {
                Ok(entry) => index.entries.push(entry),
                Err(why) => index.remarks.push(place.remark(format!("the line is left out: {why}"))),
            }
        }
        Ok(index)
    }
}

fn entry(place: Place, line: &str) -> Result<Entry, &'static str> {
    let fields: Vec<&str> = line.split('\t').collect();
    let [state, end, _revoked, number, _file, subject] = fields.as_slice() else {
        return Err("it has not six fields with tabs between them");
    };
    let is_revoked = match *state {
        // `E` is a `V` whose end was noticed by `openssl ca -updatedb`.
        "V" | "E" => false,
        "R" => true,
        _ => return Err("its state is none of V, R and E"),
    };
    Ok(Entry {
        place,
        common_name: common_name(subject).ok_or("its subject has no common name")?,
        serial: serial::from_hex(number).ok_or("its serial number is no positive number of up to 20 bytes")?,
        not_after: time(end).ok_or("its end is no time")?,
        is_revoked,
    })
}

/// `YYMMDDHHMMSSZ`, where 50 to 99 are the years of 19, or `YYYYMMDDHHMMSSZ` (RFC 5280, section 4.1.2.5).
fn time(text: &str) -> Option<DateTime<Utc>> {
    let digits = text
        .strip_suffix('Z')
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    let (year, rest) = match digits.len() {
        12 => {
            let year: i32 = digits[..2].parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, &digits[2..])
        }
        14 => (digits[..4].parse().ok()?, &digits[4..]),
        _ => return None,
    };
    let part = |at: usize| rest[at..at + 2].parse::<u32>().ok();
    let date = NaiveDate::from_ymd_opt(year, part(0)?, part(2)?)?;
    let time = date.and_hms_opt(part(4)?, part(6)?, part(8)?)?;
    Some(time.and_utc()).filter(is_bounded)
}

/// The last common name of `/C=US/O=Example/CN=alice/emailAddress=alice@example.com` (`X509_NAME_oneline`). A slash in a value is not escaped:
/// what follows it is a part of its own only if it begins as one.
fn common_name(subject: &str) -> Option<String> {
    let mut last: Option<String> = None;
    let mut is_inside = false;
    for part in subject.strip_prefix('/')?.split('/') {
        match part.split_once('=').filter(|(name, _)| is_attribute(name)) {
            Some((name, value)) => {
                is_inside = name == "CN";
                if is_inside {
                    last = Some(value.to_owned());
                }
            }
            None => {
                if let Some(name) = last.as_mut().filter(|_| is_inside) {
                    name.push('/');
                    name.push_str(part);
                }
            }
        }
    }
    last.map(|name| unescape(&name)).filter(|name| !name.is_empty())
}

/// A short name of OpenSSL, or the numbers of one that it has no name for.
fn is_attribute(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.')
}

/// Bytes that are not ASCII stand there as `\xC3`.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("\\x") {
        let byte = rest
            .get(at + 2..at + 4)
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let Some(byte) = byte else {
            bytes.extend_from_slice(&rest.as_bytes()[..at + 2]);
            rest = &rest[at + 2..];
            continue;
        };
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        bytes.push(byte);
        rest = &rest[at + 4..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests;
