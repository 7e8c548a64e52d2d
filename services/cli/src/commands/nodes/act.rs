//! What an operator does to a node.

use std::time::Duration;

use clap::Args;
use clap_complete::ArgValueCompleter;
use serde_json::Value;

use super::named::{NODE, Named};
use crate::client::types;
use crate::desk::Desk;
use crate::failure::Failure;
use crate::given::given;
use crate::names;
use crate::question::Sure;

/// Which node to drain.
#[derive(Debug, Args)]
pub(crate) struct Drain {
    #[command(flatten)]
    named: Named,
    /// Wait until nobody is connected to it, 10 minutes at most or as long as you say
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = "10m", value_parser = humantime::parse_duration)]
    wait: Option<Duration>,
    #[command(flatten)]
    sure: Sure,
}

/// Which node.
#[derive(Debug, Args)]
pub(crate) struct Undrain {
    #[command(flatten)]
    named: Named,
}

/// Which node.
#[derive(Debug, Args)]
pub(crate) struct Enable {
    #[command(flatten)]
    named: Named,
}

/// Which node, and what becomes of the profiles that it made.
#[derive(Debug, Args)]
pub(crate) struct Disable {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    credentials: Credentials,
    #[command(flatten)]
    sure: Sure,
}

/// Which node, and where it goes.
#[derive(Debug, Args)]
pub(crate) struct Move {
    #[command(flatten)]
    named: Named,
    /// The pool that it will be in
    #[arg(long, value_name = "POOL", add = ArgValueCompleter::new(names::pools))]
    pool: String,
    #[command(flatten)]
    sure: Sure,
}

/// Which node to take out.
#[derive(Debug, Args)]
pub(crate) struct Deregister {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    credentials: Credentials,
    #[command(flatten)]
    sure: Sure,
}

/// What becomes of what a node made.
#[derive(Debug, Args)]
pub(crate) struct Credentials {
    /// What becomes of the profiles that it made: revoke them if it was stolen [default: keep]
    #[arg(long, value_parser = ["keep", "revoke"])]
    credentials: Option<String>,
}

impl Credentials {
    fn are_revoked(&self) -> bool {
        self.credentials.as_deref() == Some("revoke")
    }

    fn words(&self) -> &'static str {
        match self.are_revoked() {
            true => ", and revoke all profiles that it made",
            false => "",
        }
    }
}

impl Drain {
    pub(super) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        if !self
            .sure
            .agrees(self.named.deed(desk, "move the clients of", " to other nodes"))
            .await?
        {
            return Ok(());
        }
        let node = self.named.node.as_str();
        let mut drained = desk.api.answer(desk.api.drain_endnode().server_id(node).send()).await?;
        if let Some(patience) = self.wait {
            let look = async || self.named.find(desk).await;
            drained = desk
                .until(&format!("nobody is connected to {node}"), patience, look, is_empty)
                .await?;
        }
        desk.print(&desk.output.brief(&NODE, &drained)?)
    }
}

/// Whether the agent has confirmed the drain, and nobody is left.
fn is_empty(node: &Value) -> bool {
    let confirmed = node.pointer("/drain/confirmed").and_then(Value::as_bool);
    let left = node.pointer("/drain/sessions_left").and_then(Value::as_i64);
    confirmed == Some(true) && left == Some(0)
}

impl Undrain {
    pub(super) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let request = desk.api.undrain_endnode().server_id(self.named.node.as_str());
        let node = desk.api.answer(request.send()).await?;
        desk.print(&desk.output.brief(&NODE, &node)?)
    }
}

impl Enable {
    pub(super) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let request = desk.api.enable_endnode().server_id(self.named.node.as_str());
        let node = desk.api.answer(request.send()).await?;
        desk.print(&desk.output.brief(&NODE, &node)?)
    }
}

impl Disable {
    pub(super) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let asks = self.credentials.are_revoked() || self.sure.is_trial();
        let deed = self.named.deed(desk, "place no new users on", self.credentials.words());
        if asks && !self.sure.agrees(deed).await? {
            return Ok(());
        }
        let request = desk.api.disable_endnode().server_id(self.named.node.as_str());
        let request = given!(request, credentials = self.credentials.credentials.clone());
        let node = desk.api.answer(request.send()).await?;
        desk.print(&desk.output.brief(&NODE, &node)?)
    }
}

impl Move {
    pub(super) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let after = format!(" to the pool {}", self.pool);
        if !self.sure.agrees(self.named.deed(desk, "move", &after)).await? {
            return Ok(());
        }
        let body = types::EndnodeMove::builder().pool(self.pool.clone());
        let request = desk.api.move_endnode().server_id(self.named.node.as_str()).body(body);
        let node = desk.api.answer(request.send()).await?;
        desk.print(&desk.output.brief(&NODE, &node)?)
    }
}

impl Deregister {
    pub(super) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let after = format!(" out of the fleet{}", self.credentials.words());
        if !self.sure.agrees(self.named.deed(desk, "take", &after)).await? {
            return Ok(());
        }
        let request = desk.api.deregister_endnode().server_id(self.named.node.as_str());
        let request = given!(request, credentials = self.credentials.credentials.clone());
        desk.api.answer(request.send()).await?;
        desk.note(&format!("Deregistered {}", self.named.node));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_node_is_empty_when_its_agent_says_so() {
        assert!(is_empty(&json!({ "drain": { "confirmed": true, "sessions_left": 0 } })));
        assert!(!is_empty(
            &json!({ "drain": { "confirmed": false, "sessions_left": 0 } })
        ));
        assert!(!is_empty(&json!({ "drain": { "confirmed": true } })));
        assert!(!is_empty(&json!({})));
    }
}
