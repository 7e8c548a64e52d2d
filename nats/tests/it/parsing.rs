//! Nothing that arrives can panic a parser, and what parses prints the same again.

use std::{fmt::Display, fs, str::FromStr};

use proptest::{prelude::*, sample};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use vpnmanager_nats::{
    acks::Ack,
    bounded,
    commands::{Command, Host},
    envelope::Envelope,
    events::Event,
    heartbeats::Heartbeat,
    ids::{CommonName, NodeId, UserKey},
    intents::{Intent, IntentAnswer},
    node_requests::{NodeAnswer, NodeRequest},
    payload::Payload,
    sign::{SignAnswer, SignRequest},
    subjects::FromNode,
    sync::{StateDigest, SyncReply, SyncRequest},
    topology,
    username::Username,
};

use crate::golden::family;

proptest! {
    #[test]
    fn arbitrary_bytes_panic_no_decoder(bytes in any::<Vec<u8>>()) {
        decode_as_everything(&bytes);
    }

    #[test]
    fn arbitrary_json_objects_panic_no_decoder(
        v in any::<i16>(),
        kind in "[a-z_]{0,12}",
        field in "[a-z_]{0,12}",
        text in any::<String>(),
        number in any::<f64>(),
    ) {
        let fields = ["type", "outcome", "verdict", "answer", field.as_str()];
        let object = fields.map(|name| (name.to_owned(), Value::from(kind.as_str())));
        let mut object: serde_json::Map<_, _> = object.into_iter().collect();
        object.insert("v".to_owned(), v.into());
        object.insert("at".to_owned(), text.into());
        object.insert("revision".to_owned(), number.into());
        decode_as_everything(&serde_json::to_vec(&object).unwrap());
    }

    #[test]
    fn damaged_messages_panic_no_decoder(
        payload in sample::select(golden_payloads()),
        damage in prop::collection::vec((any::<sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::of(any::<sample::Index>()),
    ) {
        let mut payload = payload;
        for (at, byte) in damage {
            let at = at.index(payload.len());
            payload[at] = byte;
        }
        if let Some(cut) = cut {
            payload.truncate(cut.index(payload.len()));
        }
        decode_as_everything(&payload);
    }

    #[test]
    fn what_is_read_is_within_bounds_whatever_was_sent(
        payload in sample::select(golden_payloads()),
        text in prop_oneof![".{0,40}", "[\\x00-\\x1f\"\\\\é€😀\u{202e}]{0,2000}", "x{0,9000}"],
        copies in 0..400_usize,
    ) {
        let sent: Value = serde_json::from_slice(&payload).unwrap();
        decode_as_everything(&serde_json::to_vec(&blown_up(&sent, &text, copies)).unwrap());
    }

    #[test]
    fn arbitrary_text_parses_to_itself_or_not_at_all(text in ".{0,80}") {
        prints_as_read::<Username>(&text)?;
        prints_as_read::<NodeId>(&text)?;
        prints_as_read::<CommonName>(&text)?;
        prints_as_read::<Host>(&text)?;
        prints_as_read::<StateDigest>(&text)?;
        drop(text.parse::<UserKey>());
        drop(topology::check_version(&text));
    }

    #[test]
    fn arbitrary_subjects_panic_no_parser(tail in "[a-z0-9.*>_-]{0,60}", any in any::<String>()) {
        for subject in [format!("vpn.{tail}"), format!("vpn.ack.{tail}"), format!("vpn.event.{tail}"), any] {
            if let Some(parsed) = FromNode::parse(&subject) {
                prop_assert_eq!(subject.split('.').nth(2), Some(parsed.node().as_str()));
            }
        }
    }

    #[test]
    fn usernames_round_trip(name in "[A-Za-z0-9][A-Za-z0-9._@-]{0,63}") {
        prop_assume!(!name.eq_ignore_ascii_case("DEFAULT"));
        round_trips::<Username>(&name)?;
        let credential = CommonName::for_user(&name.parse().unwrap());
        prop_assert!(credential.as_str().starts_with(&name[..name.len().min(47)]));
        round_trips::<CommonName>(credential.as_str())?;
    }

    #[test]
    fn node_ids_round_trip(id in "[A-Za-z0-9][A-Za-z0-9_-]{0,62}") {
        round_trips::<NodeId>(&id)?;
    }

    #[test]
    fn common_names_round_trip(name in "[A-Za-z0-9][A-Za-z0-9._@-]{0,63}") {
        prop_assume!(!name.eq_ignore_ascii_case("DEFAULT"));
        round_trips::<CommonName>(&name)?;
    }

    #[test]
    fn hosts_round_trip(name in "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?){0,2}", address: std::net::IpAddr) {
        round_trips::<Host>(&name)?;
        round_trips::<Host>(&address.to_string())?;
    }

    #[test]
    fn digests_round_trip(digest: u64) {
        round_trips::<StateDigest>(&StateDigest(digest).to_string())?;
    }
}

fn decode_as_everything(payload: &[u8]) {
    decode_as::<Command>(payload);
    decode_as::<Ack>(payload);
    decode_as::<Event>(payload);
    decode_as::<Heartbeat>(payload);
    decode_as::<SyncRequest>(payload);
    decode_as::<SyncReply>(payload);
    decode_as::<SignRequest>(payload);
    decode_as::<SignAnswer>(payload);
    decode_as::<Intent>(payload);
    decode_as::<IntentAnswer>(payload);
    decode_as::<NodeRequest>(payload);
    decode_as::<NodeAnswer>(payload);
}

/// What decodes can be written, and then reads the same.
fn decode_as<T: Payload>(payload: &[u8]) {
    if let Ok(message) = Envelope::<T>::decode(payload) {
        let written = message.encode();
        assert!(written.len() <= T::MAX_BYTES, "{} bytes are written", written.len());
        within_bounds(&serde_json::from_slice(&written).unwrap(), "");
        let again = Envelope::<T>::decode(&written).unwrap();
        assert_eq!(again.encode(), written);
    }
}

/// Fields that hold PEM, which is not for people. The bound of their message bounds them.
const PEM: [&str; 7] = [
    "authorities",
    "ca",
    "csr",
    "certificate",
    "key",
    "tls_crypt_v2",
    "profile",
];

/// The same message with this text in place of each that people read, and with so many copies of each entry of a list.
fn blown_up(message: &Value, text: &str, copies: usize) -> Value {
    const TEXTS: [&str; 11] = [
        "note",
        "error",
        "reason",
        "detail",
        "agent_version",
        "version",
        "subject",
        "profile_path",
        "real_address",
        "serial",
        "checksum",
    ];
    match message {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| {
                let replaced = TEXTS.contains(&name.as_str()) && value.is_string() && name != "v";
                let value = if replaced {
                    text.into()
                } else {
                    blown_up(value, text, copies)
                };
                (name.clone(), value)
            });
            Value::Object(fields.collect())
        }
        Value::Array(items) => {
            let entries = items
                .iter()
                .cycle()
                .take(items.len() + if items.is_empty() { 0 } else { copies });
            Value::Array(entries.cloned().collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => message.clone(),
    }
}

fn within_bounds(value: &Value, name: &str) {
    match value {
        Value::String(text) => {
            assert!(
                text.chars().count() <= bounded::TEXT || PEM.contains(&name),
                "{name} has {} characters",
                text.chars().count()
            );
            assert!(
                !text.chars().any(char::is_control) || PEM.contains(&name),
                "{name}: {text:?}"
            );
        }
        Value::Array(items) => items.iter().for_each(|item| within_bounds(item, name)),
        Value::Object(fields) => fields.iter().for_each(|(name, value)| within_bounds(value, name)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn golden_payloads() -> Vec<Vec<u8>> {
    family::all_files()
        .into_iter()
        .map(|file| fs::read(file).unwrap())
        .collect()
}

fn prints_as_read<T: FromStr + Display>(text: &str) -> Result<(), TestCaseError> {
    if let Ok(parsed) = text.parse::<T>() {
        prop_assert!(
            parsed.to_string().eq_ignore_ascii_case(text),
            "{} from {text:?}",
            parsed
        );
    }
    Ok(())
}

fn round_trips<T>(text: &str) -> Result<(), TestCaseError>
where
    T: FromStr<Err: std::fmt::Debug> + Display + Serialize + DeserializeOwned,
{
    let parsed: T = text.parse().unwrap();
    prop_assert_eq!(parsed.to_string(), text);
    let json = serde_json::to_string(&parsed).unwrap();
    prop_assert_eq!(&json, &format!("{text:?}"));
    prop_assert_eq!(serde_json::from_str::<T>(&json).unwrap().to_string(), text);
    Ok(())
}
