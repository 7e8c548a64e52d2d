//! Events: large, many, of every kind and of none.

use serde_json::json;

use crate::attack::{
    flood::Flood,
    scene::{STOLEN, Scene},
    size::Size,
    thief::messages::{Message, REPORT, event, fresh, payload, text},
};

/// 7,600 of 48 kB, of every kind.
pub(in crate::attack) fn large(scene: &Scene, size: Size) -> Flood {
    Flood::at_once(all(scene, REPORT).collect(), size.count(7_600, 150))
}

/// 50,000 small ones, of every kind.
pub(in crate::attack) fn many(scene: &Scene, size: Size) -> Flood {
    Flood::at_once(all(scene, 10).collect(), size.count(50_000, 3_000))
}

/// Of kinds that nobody knows, on subjects with more or fewer words, with bodies of other kinds.
pub(in crate::attack) fn unknown(scene: &Scene, size: Size) -> Flood {
    let (_, body) = event(scene, "openvpn_up", json!({ "pid": 1 }));
    let odd = payload(&json!({ "v": 1, "id": fresh(), "node": STOLEN, "type": "root_shell_opened" }));
    let subjects = [
        "event.{}.root_shell",
        "event.{}.a.b.c.d",
        "event.{}.user_expired",
        "ack.{}.nobody",
        "ack.{}.a.b",
    ];
    let messages = subjects
        .iter()
        .map(|subject| format!("vpn.{}", subject.replace("{}", STOLEN)))
        .flat_map(|subject| [(subject.clone(), body.clone()), (subject, odd.clone())]);
    Flood::at_once(messages.collect(), size.count(20_000, 2_000))
}

/// That users expired who are on the honest node only: the trail would say so under their names.
pub(in crate::attack) fn others(scene: &Scene, size: Size) -> Flood {
    let people = scene.others().filter(|person| !person.on_stolen);
    let messages = people.map(|person| event(scene, "user_expired", json!({ "user_key": person.key, "sessions": 1 })));
    Flood::at_once(messages.collect(), size.count(400, 40))
}

/// One event of each kind, with texts of so many bytes.
fn all(scene: &Scene, bytes: usize) -> impl Iterator<Item = Message> {
    let kinds = [
        ("openvpn_down", json!({ "reason": text(bytes) })),
        ("openvpn_up", json!({ "pid": 1 })),
        (
            "command_undecodable",
            json!({ "subject": "x", "sequence": 1, "error": text(bytes) }),
        ),
        ("sessions_cut", json!({ "common_names": [text(bytes)] })),
        (
            "allow_list_repaired",
            json!({ "restored": [], "removed": vec![text(10); bytes / 13] }),
        ),
        ("user_expired", json!({ "user_key": fresh(), "sessions": u32::MAX })),
    ];
    kinds.into_iter().map(|(kind, fields)| event(scene, kind, fields))
}
