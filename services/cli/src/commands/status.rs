//! `status`: management's own health.

use clap::Args;
use serde_json::Value;

use crate::arguments::Watch;
use crate::desk::Desk;
use crate::failure::Failure;
use crate::output::{Shape, column};

const HEALTH: Shape = Shape {
    name: "/server_id",
    columns: &[
        column("SERVER", "/server_id"),
        column("STATUS", "/status"),
        column("VERSION", "/version"),
        column("PROBLEMS", "/problems"),
    ],
};

/// How often to look.
#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    watch: Watch,
}

impl Status {
    pub(crate) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        if self.watch.watch.is_some() {
            return desk.show(&HEALTH, &self.watch, async || health(desk).await).await;
        }
        let health = health(desk).await?;
        desk.print(&desk.output.one(&HEALTH, &health)?)?;
        match health.get("status").and_then(Value::as_str) {
            Some("ok") => Ok(()),
            Some(_) | None => Err(Failure::failed("management does not work as it should")),
        }
    }
}

async fn health(desk: &Desk) -> Result<Value, Failure> {
    desk.api.answer(desk.api.get_health().send()).await
}
