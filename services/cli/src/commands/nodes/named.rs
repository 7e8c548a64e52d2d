//! How a node is named on the command line, and what of it stands in a table.

use clap::Args;
use clap_complete::ArgValueCompleter;
use serde_json::Value;

use crate::desk::Desk;
use crate::failure::Failure;
use crate::names;
use crate::output::{Look, Shape, column};

pub(crate) const NODE: Shape = Shape {
    name: "/server_id",
    columns: &[
        column("NODE", "/server_id"),
        column("STATE", "/state"),
        column("POOL", "/pool"),
        column("HOST", "/host"),
        column("LISTENERS", "/listeners"),
        column("SESSIONS", "/health/sessions"),
        column("USERS", "/sync/wanted"),
        column("PENDING", "/sync/pending"),
        column("ENABLED", "/enabled"),
        column("DRAINING", "/draining"),
        column("LAST SEEN", "/last_seen").shown(Look::Time),
        column("REASON", "/state_reason"),
    ],
};

/// One node.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// The node
    #[arg(value_name = "NODE", add = ArgValueCompleter::new(names::nodes))]
    pub(crate) node: String,
}

impl Named {
    pub(crate) async fn find(&self, desk: &Desk) -> Result<Value, Failure> {
        desk.api
            .answer(desk.api.get_endnode().server_id(self.node.as_str()).send())
            .await
    }

    /// What is done to it, in words, where it is there: `move the clients of` node-1 (5 sessions) `to other nodes`.
    pub(super) async fn deed(&self, desk: &Desk, before: &str, after: &str) -> Result<String, Failure> {
        let node = self.find(desk).await?;
        let sessions = node
            .pointer("/health/sessions")
            .and_then(Value::as_u64)
            .unwrap_or_default();
        Ok(format!("{before} {} ({sessions} sessions){after}", self.node))
    }
}
