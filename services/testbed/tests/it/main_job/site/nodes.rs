//! Nodes of a site: what is said of them, what they say themselves, and what an operator asks of them.

use std::{fmt::Display, fs};

use serde_json::{Value, json};
use vpnmanager_testbed::{api::Api, wait};

use super::{HEARD, Site};

impl Site {
    /// Waits until management shows a node as it should be, and returns what it shows. `what`: "to be healthy".
    pub(crate) async fn endnode_when(&self, id: &str, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let api = self.stack.api();
        wait::until_ok(2 * HEARD, format_args!("{id} {what}"), async || {
            let answer = api.endnode(id).await.and_then(|answer| answer.expect(200));
            let answer = answer.map_err(|error| error.to_string())?;
            match is_it(&answer.body) {
                true => Ok(answer.body),
                false => Err(answer.text),
            }
        })
        .await
        .unwrap()
    }

    /// Waits until a node that drains has no sessions left.
    pub(crate) async fn is_drained(&self, id: &str) {
        let is_it = |node: &Value| node["drain"]["confirmed"] == true && node["drain"]["sessions_left"] == 0;
        self.endnode_when(id, "to have no sessions left", is_it).await;
    }

    /// Waits until a node drains no more.
    pub(crate) async fn keeps_its_clients(&self, id: &str) {
        let is_it = |node: &Value| node["health"]["draining"] == false;
        self.endnode_when(id, "to keep its clients again", is_it).await;
    }

    /// Asks management for something of a node, such as `drain`, which it answers with this status.
    pub(crate) async fn ask_for(&self, verb: &str, id: &str, status: u16) {
        let path = format!("/api/endnodes/{id}/{verb}");
        let answer = self.stack.api().post(&path, &json!({})).await.unwrap();
        answer.expect(status).unwrap();
    }

    /// What a node was given when it was enrolled, as it stores it.
    pub(crate) fn identity(&self, number: u8) -> Value {
        let file = self.stack.state().node_dir(number).join("identity.json");
        serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
    }

    /// Removes the journal of a node whose agent does not run.
    pub(crate) fn lose_journal(&self, number: u8) {
        let state = self.stack.node(number).unwrap().dir();
        for suffix in ["", "-wal", "-shm"] {
            let file = state.join(format!("journal.db{suffix}"));
            if file.exists() {
                fs::remove_file(file).unwrap();
            }
        }
    }
}

/// Waits until an agent says of itself what it should (`/health` of its local API).
pub(crate) async fn agent_when(local: &Api, what: impl Display, is_it: impl Fn(&Value) -> bool) {
    wait::until_ok(3 * HEARD, what, async || {
        let health = local.get("/health").await.map_err(|error| error.to_string())?;
        match is_it(&health.body) {
            true => Ok(()),
            false => Err(health.text),
        }
    })
    .await
    .unwrap();
}
