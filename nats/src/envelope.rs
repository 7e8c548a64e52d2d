//! What every payload looks like: one JSON object with a version `v`, an optional W3C `traceparent`, and the message's own fields beside them.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, Error as _},
};

use crate::{bounded::shortened, payload::Payload};

/// The version of the wire that this build speaks. New optional fields do not change it; a changed meaning does.
pub const WIRE_VERSION: u8 = 1;

/// A message, with the fields that every message carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope<T> {
    /// [`WIRE_VERSION`] of the sender.
    pub v: u8,
    /// W3C Trace Context of the request that caused this message.
    #[serde(default, deserialize_with = "traceparent", skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// The message itself.
    #[serde(flatten)]
    pub body: T,
}

/// Why a payload could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The payload is larger than a message of its kind may be. It was not read.
    #[error("the payload has {found} bytes, a message of its kind has at most {most}")]
    TooLarge {
        /// Its size in bytes.
        found: usize,
        /// The most bytes.
        most: usize,
    },
    /// The payload is not JSON of the expected type. The source says why in at most 200 characters; of a message that may hold a private key
    /// it quotes nothing.
    #[error("the payload is not a valid message")]
    Malformed(#[source] serde_json::Error),
    /// The payload comes from a newer release, and its meaning may differ.
    #[error("the payload has wire version {found}, this build reads up to {WIRE_VERSION}")]
    NewerVersion {
        /// The version found.
        found: u8,
    },
    /// The body and the subject name different nodes.
    #[error("the payload speaks for another node than its subject")]
    ForeignNode,
}

impl<T: Payload> Envelope<T> {
    /// A message with the version of this build.
    pub fn new(body: T) -> Self {
        Self {
            v: WIRE_VERSION,
            traceparent: None,
            body,
        }
    }

    /// The same message, with the trace of the request that caused it.
    pub fn traced(body: T, traceparent: Option<String>) -> Self {
        Self {
            traceparent,
            ..Self::new(body)
        }
    }

    /// The payload to publish.
    ///
    /// # Panics
    /// Never: the wire types hold nothing that JSON cannot.
    pub fn encode(&self) -> Bytes {
        serde_json::to_vec(self)
            .expect("wire types have string keys and finite numbers")
            .into()
    }

    /// Reads a payload. A NUL character in it, which PostgreSQL cannot hold and no text of ours needs, becomes U+FFFD.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        #[derive(Deserialize)]
        struct Version {
            v: u8,
        }
        if payload.len() > T::MAX_BYTES {
            return Err(DecodeError::TooLarge {
                found: payload.len(),
                most: T::MAX_BYTES,
            });
        }
        let payload = &*without_nul(payload);
        let Version { v } = parse::<T, _>(payload)?;
        if v > WIRE_VERSION {
            return Err(DecodeError::NewerVersion { found: v });
        }
        parse::<T, _>(payload)
    }
}

/// The most characters of the reason why a payload cannot be read, which quotes from it.
const REASON: usize = 200;
/// The most bytes of a `traceparent`; version 00 has 55 (W3C Trace Context, section 3.2).
const TRACEPARENT: usize = 128;

/// Reads something of a message of the kind `T`.
fn parse<T: Payload, R: DeserializeOwned>(payload: &[u8]) -> Result<R, DecodeError> {
    serde_json::from_slice(payload).map_err(|error| {
        let reason = if T::SECRET {
            format!("at line {} column {}", error.line(), error.column())
        } else {
            shortened(&error.to_string(), REASON)
        };
        DecodeError::Malformed(serde_json::Error::custom(reason))
    })
}

/// One that is no `traceparent` is dropped, as section 3.2.4 of W3C Trace Context says.
fn traceparent<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.filter(|text| text.len() <= TRACEPARENT && text.bytes().all(|byte| byte.is_ascii_graphic())))
}

/// The only way to write NUL in JSON (RFC 8259, section 7).
const NUL: &[u8; 6] = b"\\u0000";

fn without_nul(payload: &[u8]) -> Cow<'_, [u8]> {
    if !payload.windows(NUL.len()).any(|window| window == NUL) {
        return Cow::Borrowed(payload);
    }
    let mut payload = payload.to_vec();
    let mut at = 0;
    while at < payload.len() {
        if payload[at..].starts_with(NUL) {
            payload[at..at + NUL.len()].copy_from_slice(b"\\ufffd");
        }
        // An escaped backslash is passed with what it escapes.
        at += if payload[at] == b'\\' { 2 } else { 1 };
    }
    Cow::Owned(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Note {
        text: String,
    }

    impl Payload for Note {
        const MAX_BYTES: usize = 1000;
    }

    #[test]
    fn a_nul_is_replaced_and_what_only_looks_like_one_is_kept() {
        let sent = Envelope::new(Note {
            text: "log\0line \\u0000 \\\0 end".to_owned(),
        });
        let read = Envelope::<Note>::decode(&sent.encode()).unwrap();
        assert_eq!(read.body.text, "log\u{fffd}line \\u0000 \\\u{fffd} end");
    }
}
