//! How a webhook is named on the command line, and what of it stands in a table.

use clap::Args;
use serde_json::Value;

use crate::desk::Desk;
use crate::failure::Failure;
use crate::output::{Look, Shape, column, tidy};

pub(super) const WEBHOOK: Shape = Shape {
    name: "/id",
    columns: &[
        column("ID", "/id"),
        column("URL", "/url"),
        column("ENABLED", "/enabled"),
        column("TYPES", "/types"),
        column("SUBJECTS", "/subjects"),
        column("DESCRIPTION", "/description"),
        column("FAILING SINCE", "/failing_since").shown(Look::Time),
        column("WHY DISABLED", "/disabled_reason"),
    ],
};

/// One webhook.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// Its id, as the list has it
    #[arg(value_name = "ID")]
    pub(super) id: i64,
}

impl Named {
    pub(super) async fn find(&self, desk: &Desk) -> Result<Value, Failure> {
        desk.api.answer(desk.api.get_webhook().webhook(self.id).send()).await
    }

    /// What is done, in words, where the webhook is there.
    pub(super) async fn deed(&self, desk: &Desk, before: &str, after: &str) -> Result<String, Failure> {
        let webhook = self.find(desk).await?;
        let url = webhook.get("url").and_then(Value::as_str).map(tidy).unwrap_or_default();
        Ok(format!("{before} the webhook {}, which sends to {url}{after}", self.id))
    }
}
