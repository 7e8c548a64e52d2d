//! JSON that no honest program writes: what becomes of it is defined, and it is refused before anything is done with it.

use std::fs;

use serde_json::{Map, Value, json};
use vpnmanager_nats::{
    acks::{Ack, Outcome},
    envelope::{DecodeError, Envelope},
    events::Event,
    heartbeats::Heartbeat,
    intents::Intent,
    node_requests::NodeAnswer,
    payload::Payload,
    sign::{SignAnswer, SignRequest, SignResult},
    sync::{SyncReply, SyncRequest},
};

use crate::golden::family;

const ACK: &str = r#"{ "v": 1, "type": "ack", "node": "n", "instance": "01910000-0000-7000-8000-0000000000f1",
    "user_key": "01910000-0000-7000-8000-0000000000f1", "revision": 4, "applied_at": "2027-01-01T00:00:00Z", "outcome": "failed", "error": "E" }"#;

fn read(payload: impl AsRef<[u8]>) -> Result<Ack, DecodeError> {
    Envelope::<Ack>::decode(payload.as_ref()).map(|envelope| envelope.body)
}

fn refused(payload: impl AsRef<[u8]>) {
    let payload = payload.as_ref();
    let error = read(payload).unwrap_err();
    assert!(
        matches!(error, DecodeError::Malformed(_)),
        "{error:?} for {}",
        String::from_utf8_lossy(payload)
    );
}

#[test]
fn nesting_is_bounded_also_in_fields_that_nobody_knows() {
    let nested = |depth: usize| {
        ACK.replace(
            r#""E""#,
            &format!(r#""E", "x": {}{}"#, "[".repeat(depth), "]".repeat(depth)),
        )
    };
    assert!(read(nested(100)).is_ok());
    for depth in [128, 1000, 3800] {
        refused(nested(depth));
    }
    refused("[".repeat(8000));
    refused(r#"{"v":1,"x":"#.repeat(700));
}

#[test]
fn a_field_that_stands_twice_is_refused_in_every_message() {
    fn twice<T: Payload>(folder: &str) {
        let mut tried = 0;
        for file in family::all_files() {
            if !file.parent().unwrap().ends_with(folder) {
                continue;
            }
            let golden: Map<String, Value> = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
            assert!(
                Envelope::<T>::decode(&serde_json::to_vec(&golden).unwrap()).is_ok(),
                "{}",
                file.display()
            );
            // The subject says that it is an ack, a heartbeat or a request; nobody reads their `type`.
            let is_read = |name: &str| name != "type" || matches!(folder, "events" | "intents" | "node_answers");
            for (name, value) in golden.iter().filter(|(name, _)| is_read(name)) {
                let once = serde_json::to_string(&golden).unwrap();
                let twice = format!("{{{}:{value},{}", json!(name), &once[1..]);
                let error = Envelope::<T>::decode(twice.as_bytes()).err();
                assert!(
                    matches!(error, Some(DecodeError::Malformed(_))),
                    "{name} twice in {}: {error:?}",
                    file.display()
                );
                tried += 1;
            }
        }
        assert!(tried > 5, "{folder}");
    }
    twice::<Ack>("acks");
    twice::<Event>("events");
    twice::<Heartbeat>("heartbeats");
    twice::<SyncRequest>("sync_requests");
    twice::<SignRequest>("sign_requests");
    twice::<Intent>("intents");
    twice::<NodeAnswer>("node_answers");
}

#[test]
fn numbers_that_a_field_cannot_hold_are_refused() {
    let revision = |number: &str| ACK.replace("4", number);
    assert_eq!(
        read(revision("9007199254740991")).unwrap().revision.0,
        9_007_199_254_740_991
    );
    for number in [
        "-1",
        "0",
        "9007199254740992",
        "9223372036854775807",
        "18446744073709551616",
        "1e3",
        "1.0",
        "1e999",
        "-1e999",
        "NaN",
        "\"4\"",
        "null",
        "04",
        "0x4",
        &"9".repeat(4000),
    ] {
        refused(revision(number));
    }
    refused(ACK.replacen("1", "256", 1));
    refused(ACK.replacen("1", "-1", 1));
}

#[test]
fn bytes_that_are_no_text_are_refused_and_a_nul_is_replaced() {
    let error = |text: &[u8]| {
        let (before, after) = ACK.split_once('E').unwrap();
        [before.as_bytes(), text, after.as_bytes()].concat()
    };
    for bad in [
        &b"\xff"[..],
        b"\xc3",
        b"\xed\xa0\x80",
        b"\0",
        b"\n",
        b"\x1b",
        b"\\ud800",
        b"\\ud800x",
        b"\\x41",
        b"\\",
    ] {
        refused(error(bad));
    }
    refused([&b"\xef\xbb\xbf"[..], ACK.as_bytes()].concat());
    refused(ACK.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>());
    for (written, expected) in [
        (&br"a\u0000b"[..], "a\u{fffd}b"),
        (br"a\u001bb", "a\u{fffd}b"),
        (br"a\nb", "a b"),
        (br"\ud83d\ude00", "\u{1f600}"),
        (br"\\u0000", r"\u0000"),
    ] {
        let Outcome::Failed { error } = read(error(written)).unwrap().outcome else {
            panic!("another outcome")
        };
        assert_eq!(error, expected);
    }
}

#[test]
fn what_is_no_single_object_is_refused() {
    for payload in [
        "",
        " ",
        "null",
        "1",
        "[]",
        "{}",
        "\"v\"",
        &format!("{ACK}{ACK}"),
        &format!("[{ACK}]"),
        &ACK[..40],
    ] {
        refused(payload);
    }
}

#[test]
fn what_fuzzing_found_is_within_bounds() {
    // `make fuzz FUZZ=signs`: a serial number had no bound, and could hold control characters.
    let answer = r#"{ "v": 1, "type": "signed", "results": [ { "result": "signed", "common_name": "alice.x", "certificate": "",
        "serial": "5\u001be7b", "not_before": "2027-01-01T07:30:00Z", "not_after": "2029-06-03T08:30:00Z" } ] }"#;
    let read = Envelope::<SignAnswer>::decode(answer.as_bytes()).unwrap();
    let [SignResult::Signed(signed)] = read.body.results.as_slice() else {
        panic!("another answer")
    };
    assert_eq!(signed.serial, "5\u{fffd}e7b");
    // `make fuzz FUZZ=handshakes`: the place of the bus could hold control characters.
    for bad in [
        "tls://bus\\u007f:4222",
        "tls://bus\\n:4222",
        "tls://b us:4222",
        "tls://büs:4222",
    ] {
        let answer = format!(
            r#"{{ "v": 1, "verdict": "ok", "upto_sequence": 1, "bus": {{ "urls": [ "{bad}" ], "ca": null }} }}"#
        );
        let error = Envelope::<SyncReply>::decode(answer.as_bytes()).unwrap_err();
        assert!(matches!(error, DecodeError::Malformed(_)), "{bad}: {error:?}");
    }
}

#[test]
fn a_checksum_is_one() {
    let issued = |checksum: &str| {
        let issued = json!({ "common_name": "a.b", "profile_path": "p", "profile_checksum": checksum });
        ACK.replace(
            r#""failed", "error": "E""#,
            &format!(r#""applied", "issued": {issued}"#),
        )
    };
    assert!(read(issued(&"0f".repeat(32))).is_ok());
    for bad in ["", "0f", &"0F".repeat(32), &"0g".repeat(32), &"0f".repeat(33)] {
        refused(issued(bad));
    }
}
