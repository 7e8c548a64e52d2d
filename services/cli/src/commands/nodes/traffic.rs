//! `nodes traffic` and `nodes discard-traffic`.

use clap::Args;

use super::named::Named;
use crate::client::types;
use crate::commands::days::{DAY, Days};
use crate::desk::Desk;
use crate::failure::Failure;
use crate::given::given;
use crate::output::{Look, Shape, column};
use crate::pages::items;
use crate::question::Sure;

const DISCARDED: Shape = Shape {
    name: "/users",
    columns: &[
        column("USERS", "/users"),
        column("IN", "/bytes_in").shown(Look::Bytes),
        column("OUT", "/bytes_out").shown(Look::Bytes),
    ],
};

/// Whose traffic.
#[derive(Debug, Args)]
pub(crate) struct Traffic {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    days: Days,
}

/// From when on.
#[derive(Debug, Args)]
pub(crate) struct Discard {
    #[command(flatten)]
    named: Named,
    /// The first day, such as 2026-11-01
    #[arg(long, value_name = "DAY")]
    from: String,
    #[command(flatten)]
    sure: Sure,
}

impl Traffic {
    pub(super) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let request = desk.api.get_endnode_traffic().server_id(self.named.node.as_str());
        let request = given!(request, from = self.days.from.clone(), until = self.days.until.clone());
        let answer = desk.api.answer(request.send()).await?;
        desk.print(&desk.output.list(&DAY, items(&answer))?)
    }
}

impl Discard {
    pub(super) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let after = format!(" from {} on", self.from);
        if !self
            .sure
            .agrees(
                self.named
                    .deed(desk, "discard the traffic that was reported by", &after),
            )
            .await?
        {
            return Ok(());
        }
        let body = types::TrafficDiscard::builder().from(self.from.clone());
        let request = desk
            .api
            .discard_endnode_traffic()
            .server_id(self.named.node.as_str())
            .body(body);
        let answer = desk.api.answer(request.send()).await?;
        desk.print(&desk.output.brief(&DISCARDED, &answer)?)
    }
}
