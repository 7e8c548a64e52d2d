//! What holds of every message that decodes.

use std::{error::Error as _, fmt::Debug};

use vpnmanager_nats::{
    envelope::{DecodeError, Envelope, WIRE_VERSION},
    payload::Payload,
};

use crate::text::within_bounds;

/// Decodes a payload. What decodes keeps the bounds of its kind, and decodes to the same again after it was encoded.
pub fn decode<T: Payload + PartialEq + Debug>(payload: &[u8]) -> Option<T> {
    let message = match Envelope::<T>::decode(payload) {
        Ok(message) => message,
        Err(error) => {
            check_refusal::<T>(payload, &error);
            return None;
        }
    };
    assert!(payload.len() <= T::MAX_BYTES && message.v <= WIRE_VERSION);
    let written = message.encode();
    assert!(written.len() <= T::MAX_BYTES, "{} bytes are written", written.len());
    within_bounds(&serde_json::from_slice(&written).expect("JSON"), "");
    let again = Envelope::<T>::decode(&written).expect("what was written is read");
    assert_eq!(again, message);
    assert_eq!(again.encode(), written);
    Some(message.body)
}

/// A refusal says the right thing, and not much of it. Of a message that may hold a key it quotes nothing: its reason is two numbers.
fn check_refusal<T: Payload>(payload: &[u8], error: &DecodeError) {
    match error {
        DecodeError::TooLarge { found, most } => {
            assert!(payload.len() == *found && *most == T::MAX_BYTES && found > most);
        }
        DecodeError::Malformed(_) => {
            let reason = error.source().expect("a reason").to_string();
            assert!(reason.chars().count() <= 250, "{reason}");
            let known = |word: &str| word.parse::<usize>().is_ok() || ["at", "line", "column"].contains(&word);
            assert!(!T::SECRET || reason.split(' ').all(known), "{reason}");
        }
        DecodeError::NewerVersion { found } => assert!(*found > WIRE_VERSION),
        DecodeError::ForeignNode => unreachable!("a payload alone has no subject"),
    }
}
