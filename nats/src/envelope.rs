//! What every payload looks like: one JSON object with a version `v`, an optional W3C `traceparent`, and the message's own fields beside them.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The version of the wire that this build speaks. New optional fields do not change it; a changed meaning does.
pub const WIRE_VERSION: u8 = 1;

/// A message, with the fields that every message carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope<T> {
    /// [`WIRE_VERSION`] of the sender.
    pub v: u8,
    /// W3C Trace Context of the request that caused this message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// The message itself.
    #[serde(flatten)]
    pub body: T,
}

/// Why a payload could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The payload is not JSON of the expected type.
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

impl<T: Serialize + DeserializeOwned> Envelope<T> {
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
        let payload = &*without_nul(payload);
        let Version { v } = serde_json::from_slice(payload).map_err(DecodeError::Malformed)?;
        if v > WIRE_VERSION {
            return Err(DecodeError::NewerVersion { found: v });
        }
        serde_json::from_slice(payload).map_err(DecodeError::Malformed)
    }
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

    #[test]
    fn a_nul_is_replaced_and_what_only_looks_like_one_is_kept() {
        let sent = Envelope::new(Note {
            text: "log\0line \\u0000 \\\0 end".to_owned(),
        });
        let read = Envelope::<Note>::decode(&sent.encode()).unwrap();
        assert_eq!(read.body.text, "log\u{fffd}line \\u0000 \\\u{fffd} end");
    }
}
