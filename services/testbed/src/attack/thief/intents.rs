//! Local requests: creates without end, deletes of nobody, deletes of users of others.

use serde_json::json;

use crate::attack::{
    flood::Flood,
    scene::{STOLEN, Scene},
    size::Size,
    thief::messages::{fresh, intent, payload, subject, with},
};

/// 2,000 users, created at the stolen node.
pub(in crate::attack) fn creates(_scene: &Scene, size: Size) -> Flood {
    let count = size.count(2_000, 300);
    let messages = (1..=count).map(|number| {
        let action = json!({ "type": "create_user", "username": format!("stolen-{number}") });
        (subject("intent"), payload(&intent(action)))
    });
    Flood::at_once(messages.collect(), count).with_answers()
}

/// 20,000 deletes of users that nobody knows.
pub(in crate::attack) fn refused(_scene: &Scene, size: Size) -> Flood {
    let action = json!({ "type": "remove_user", "user_key": fresh(), "username": "nobody" });
    Flood::at_once(
        vec![(subject("intent"), payload(&intent(action)))],
        size.count(20_000, 2_000),
    )
    .with_answers()
}

/// Deletes of users who are not on the stolen node, under their own names and under others.
pub(in crate::attack) fn removes_others(scene: &Scene, _size: Size) -> Flood {
    let messages: Vec<_> = scene
        .others()
        .filter(|person| !person.on_stolen)
        .flat_map(|person| {
            ["nobody", &person.username].map(|username| {
                let action = json!({ "type": "remove_user", "user_key": person.key, "username": username });
                (subject("intent"), payload(&intent(action)))
            })
        })
        .collect();
    let count = messages.len() as u64;
    Flood::at_once(messages, count).with_answers()
}

/// One request, repeated; and others under its id.
pub(in crate::attack) fn repeated(_scene: &Scene, size: Size) -> Flood {
    let create = intent(json!({ "type": "create_user", "username": format!("repeated-{STOLEN}") }));
    let first = with(create, json!({ "id": fresh() }));
    let other = with(
        first.clone(),
        json!({ "type": "create_user", "username": "another-name" }),
    );
    let messages = [first, other].map(|body| (subject("intent"), payload(&body)));
    Flood::at_once(messages.to_vec(), size.count(10_000, 1_000)).with_answers()
}
