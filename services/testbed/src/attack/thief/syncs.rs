//! Handshakes: large, many, such that everything must be sent again, and such that name another endpoint each time.

use serde_json::json;

use crate::attack::{
    flood::Flood,
    scene::Scene,
    size::Size,
    thief::messages::{LARGEST, Message, payload, subject, sync, text, with},
};

/// 15,000 of the largest size that the credential allows.
pub(in crate::attack) fn large(scene: &Scene, size: Size) -> Flood {
    let padded = with(sync(scene), json!({ "padding": text(LARGEST - 400) }));
    Flood::at_once(vec![(subject("sync"), payload(&padded))], size.count(15_000, 500)).with_answers()
}

/// 5,000 at once.
pub(in crate::attack) fn burst(scene: &Scene, size: Size) -> Flood {
    Flood::at_once(vec![(subject("sync"), payload(&sync(scene)))], size.count(5_000, 2_000)).with_answers()
}

/// From a node that says that it holds nothing, so that all its commands are published again, and again.
pub(in crate::attack) fn resync(scene: &Scene, size: Size) -> Flood {
    let empty = json!({ "last_sequence": 0, "users": 0, "digest": "0000000000000000", "complete": false });
    let other = json!({ "last_sequence": 9_000_000, "stream": 1 });
    let messages = [empty, other].map(|fields| (subject("sync"), payload(&with(sync(scene), fields))));
    Flood {
        rate: Some(200),
        ..Flood::at_once(messages.to_vec(), size.count(2_000, 400)).with_answers()
    }
}

/// From an agent that says each time that clients reach its node at another port.
pub(in crate::attack) fn endpoint_flips(scene: &Scene, size: Size) -> Flood {
    let at = |port: u16| -> Message {
        let endpoint = json!({ "port": port, "protocol": "udp", "pool": "default", "capacity": 1000 });
        (
            subject("sync"),
            payload(&with(sync(scene), json!({ "endpoint": endpoint }))),
        )
    };
    Flood {
        rate: Some(10),
        ..Flood::at_once(vec![at(1195), at(1194)], size.count(300, 40)).with_answers()
    }
}
