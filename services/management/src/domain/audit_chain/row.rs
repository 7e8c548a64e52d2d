//! An entry as PostgreSQL writes it as JSON (`row_to_json`), and its hash.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

use super::digest::{Brief, Digest, brief, parse, sha256};

/// An entry, with the names of the columns of `audit_log`.
#[derive(Debug, Deserialize)]
pub(super) struct Row {
    pub(super) id: i64,
    timestamp: DateTime<Utc>,
    pub(super) action: String,
    username: Option<String>,
    details: Option<String>,
    ip_address: Option<String>,
    server_id: String,
    actor: String,
    request_id: Option<String>,
    before: Option<Box<RawValue>>,
    pub(super) after: Option<Box<RawValue>>,
    event_id: Option<String>,
    reported_at: Option<DateTime<Utc>>,
    chain: Option<i16>,
    chain_seq: Option<i64>,
    previous_hash: Option<String>,
    hash: Option<String>,
}

/// Where an entry is in the chains.
#[derive(Debug)]
pub(super) enum Place {
    /// In none: it is from before there were chains, or somebody kept the triggers from working.
    Outside,
    /// Some of what it needs to be in one is not there.
    Damaged,
    /// In this one.
    In(i16, Link),
}

/// An entry of a chain, without what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) id: i64,
    pub(super) seq: i64,
    pub(super) previous: Brief,
    pub(super) hash: Brief,
    /// Whether its hash is that of what it says.
    pub(super) is_whole: bool,
}

/// Entries of one chain without a gap that are in a file and no more in the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretch {
    /// The chain.
    pub chain: i16,
    /// The first place.
    pub first: i64,
    /// The last place.
    pub last: i64,
    /// What the first one has as the hash of the one before it, in hexadecimal.
    pub previous_hash: String,
    /// The hash of the last one, in hexadecimal.
    pub hash: String,
}

impl Row {
    pub(super) fn place(&self) -> Place {
        let parts = (
            self.chain,
            self.chain_seq,
            self.previous_hash.as_deref(),
            self.hash.as_deref(),
        );
        let (chain, seq, previous, hash) = match parts {
            (None, None, None, None) => return Place::Outside,
            (Some(chain), Some(seq), Some(previous), Some(hash)) => (chain, seq, parse(previous), parse(hash)),
            _ => return Place::Damaged,
        };
        let (Some(previous), Some(hash)) = (previous, hash) else {
            return Place::Damaged;
        };
        let link = Link {
            id: self.id,
            seq,
            previous: brief(&previous),
            hash: brief(&hash),
            is_whole: self.hash_after(&previous) == hash,
        };
        Place::In(chain, link)
    }

    fn hash_after(&self, previous: &Digest) -> Digest {
        sha256(&[previous, self.content().as_bytes()])
    }

    /// The text that the function `audit_log_chain` of the database makes of it: `json_build_array`.
    fn content(&self) -> String {
        let time = |time: DateTime<Utc>| time.timestamp_micros().to_string();
        let json = |state: &Option<Box<RawValue>>| state.as_ref().map_or_else(null, |state| spaced(state.get()));
        let fields = [
            self.id.to_string(),
            time(self.timestamp),
            quoted(&self.action),
            or_null(self.username.as_deref()),
            or_null(self.details.as_deref()),
            or_null(self.ip_address.as_deref()),
            quoted(&self.server_id),
            quoted(&self.actor),
            or_null(self.request_id.as_deref()),
            json(&self.before),
            json(&self.after),
            or_null(self.event_id.as_deref()),
            self.reported_at.map_or_else(null, time),
        ];
        format!("[{}]", fields.join(", "))
    }
}

fn null() -> String {
    "null".to_owned()
}

/// PostgreSQL escapes the same characters in the same way.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn or_null(text: Option<&str>) -> String {
    text.map_or_else(null, quoted)
}

/// JSON with the spaces that PostgreSQL's `jsonb` has, so that a file may have passed through a program that leaves them out.
fn spaced(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    let (mut in_text, mut is_escaped) = (false, false);
    for character in json.chars() {
        if in_text {
            text.push(character);
            in_text = is_escaped || character != '"';
            is_escaped = !is_escaped && character == '\\';
            continue;
        }
        match character {
            ' ' | '\n' | '\r' | '\t' => {}
            ',' | ':' => {
                text.push(character);
                text.push(' ');
            }
            other => {
                in_text = other == '"';
                text.push(other);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_is_the_array_that_postgresql_makes() {
        let line = r#"{"id":7,"timestamp":"2026-12-03T10:00:00.123456+00:00","action":"user_created","username":"alice",
            "details":"two\nlines \"and\" \u001f € more","ip_address":"192.0.2.7","server_id":"management","actor":"key:admin",
            "request_id":null,"before":null,"after":{"a":[1,null,"x, y: \"z\" \\"],"long":1.50},"event_id":null,
            "reported_at":"2026-12-03T11:00:00+01:00"}"#;
        let row: Row = serde_json::from_str(line).unwrap();
        assert!(matches!(row.place(), Place::Outside));
        assert_eq!(
            row.content(),
            "[7, 1796292000123456, \"user_created\", \"alice\", \"two\\nlines \\\"and\\\" \\u001f € more\", \"192.0.2.7\", \
             \"management\", \"key:admin\", null, null, {\"a\": [1, null, \"x, y: \\\"z\\\" \\\\\"], \"long\": 1.50}, null, 1796292000000000]"
        );
    }

    #[test]
    fn json_keeps_its_texts_and_gets_its_spaces() {
        let of_postgresql = r#"{"a b": [1, {}], "c": "d,  \\\" : e\\", "f": null}"#;
        assert_eq!(spaced(of_postgresql), of_postgresql);
        assert_eq!(spaced(r#"{"a b":[1,{}],"c":"d,  \\\" : e\\","f":null}"#), of_postgresql);
    }
}
