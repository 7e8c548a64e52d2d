//! Words about groups in messages that have none of them to say: who is in one is said by management alone.

use futures_util::{FutureExt as _, future::LocalBoxFuture};
use serde_json::json;

use crate::attack::{
    flood::Offered,
    scene::{Scene, text},
    size::Size,
    thief::{
        messages::{Message, ack, fresh, heartbeat, intent, payload, subject, sync, with},
        reading,
    },
};

/// A group that nobody is in.
const VAULT: &str = "vault";
/// Makes it behind the back of management, which would ask every node for a handshake: each that the thief sends is to be read.
const MAKE: &str = "INSERT INTO groups (name) VALUES ($1) ON CONFLICT (name) DO UPDATE SET name = EXCLUDED.name RETURNING name AS text";
/// What all groups say.
const GROUPS: &str =
    "SELECT string_agg(concat_ws(' ', name, revision, rules), ', ' ORDER BY name) AS text FROM groups WHERE name <> $1";
const HUGE: i64 = (1 << 53) - 9;

/// That users, own ones and those of others, are in that group, in every message that is about users; and that the node has other groups.
pub(in crate::attack) fn claimed(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    async move {
        text(&scene.db, MAKE, VAULT).await?;
        let before = text(&scene.db, GROUPS, "").await?;
        let mut offered = reading::each(scene, &messages(scene), size.count(5, 1)).await?;
        let after = text(&scene.db, GROUPS, "").await?;
        if before != after {
            offered.wrong.push(format!("the groups were {before} and are {after}"));
        }
        Ok(offered)
    }
    .boxed_local()
}

fn messages(scene: &Scene) -> Vec<Message> {
    let claim = json!({ "group": VAULT, "group_name": VAULT });
    let rules = json!({ "reach": null });
    let groups = json!({ "revision": HUGE, "groups": [{ "name": VAULT, "rules": rules }] });
    let mut messages: Vec<Message> = Vec::new();
    for person in &scene.people {
        let applied = with(json!({ "outcome": "applied" }), claim.clone());
        messages.push(ack(scene, &person.key, person.revision, applied));
    }
    let create = json!({ "type": "create_user", "username": format!("claimed-{}", fresh()) });
    for told in [claim, json!({ "groups": groups })] {
        messages.push((subject("sync"), payload(&with(sync(scene), told.clone()))));
        messages.push((subject("intent"), payload(&with(intent(create.clone()), told))));
    }
    for revision in [HUGE, 0, -1] {
        let told = with(heartbeat(&scene.instance), json!({ "groups": revision }));
        messages.push((subject("health"), payload(&told)));
    }
    messages
}
