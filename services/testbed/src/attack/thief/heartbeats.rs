//! Heartbeats: many runs of one agent, changes without end, more than anyone reads.

use std::time::Duration;

use serde_json::json;

use crate::attack::{
    flood::{EACH, Flood},
    scene::Scene,
    size::Size,
    thief::messages::{Message, heartbeat, payload, subject, text, with},
};

/// 20,000 at full speed, each from another run of the agent.
pub(in crate::attack) fn burst(_scene: &Scene, _size: Size) -> Flood {
    Flood::at_once(random(), 20_000)
}

/// 1,000 a second, each from another run, for longer than it takes to call a node lost and to give its users another home.
pub(in crate::attack) fn steady(_scene: &Scene, size: Size) -> Flood {
    let count = size.count(25_000, 16_000);
    Flood {
        rate: Some(1_000),
        ..Flood::at_once(random(), count)
    }
}

/// One run that says each time something else about OpenVPN and about its users, so that the node's state changes with each message.
pub(in crate::attack) fn changing(scene: &Scene, size: Size) -> Flood {
    let states = ["up", "down", "waiting", "absent"];
    let messages = states.map(|state| {
        let openvpn = json!({
            "state": state, "sessions": 0, "capacity": 1000, "bytes_in": 0, "bytes_out": 0, "detail": state,
        });
        // The digest changes too, so that the node seems to drift each time.
        let digest = format!("{:016x}", fastrand::u64(..));
        let body = with(
            heartbeat(&scene.instance),
            json!({ "openvpn": openvpn, "digest": digest }),
        );
        (subject("health"), payload(&body))
    });
    Flood {
        rate: Some(500),
        ..Flood::at_once(messages.to_vec(), size.count(5_000, 1_000))
    }
}

/// Heartbeats of nearly the largest size.
pub(in crate::attack) fn large(scene: &Scene, size: Size) -> Flood {
    let body = with(
        heartbeat(&scene.instance),
        json!({ "agent_version": text(crate::attack::thief::messages::LONG) }),
    );
    Flood {
        within: Duration::from_secs(15),
        ..Flood::at_once(vec![(subject("health"), payload(&body))], size.count(5_000, 200))
    }
}

/// Each from another run of the agent.
fn random() -> Vec<Message> {
    vec![(subject("health"), payload(&heartbeat(EACH)))]
}
