//! `nodes reissue`.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::named::Named;
use crate::arguments::Watch;
use crate::client::types;
use crate::commands::old_profiles::OldProfiles;
use crate::desk::Desk;
use crate::failure::Failure;
use crate::output::{Look, Shape, column};
use crate::question::Sure;
use crate::values::{Moment, moment};

const REISSUE: Shape = Shape {
    name: "/server_id",
    columns: &[
        column("NODE", "/server_id"),
        column("OLD PROFILES", "/old_profiles"),
        column("TOTAL", "/total"),
        column("DONE", "/done"),
        column("UNCHANGED", "/unchanged"),
        column("FAILED", "/failed"),
        column("STARTED", "/started_at").shown(Look::Time),
        column("ENDED", "/ended_at").shown(Look::Time),
        column("STOPPED", "/stopped"),
    ],
};

/// What to do about it.
#[derive(Debug, Subcommand)]
pub(crate) enum Reissue {
    /// Start it
    Start(Start),
    /// Show how far it is
    Show(Show),
    /// Stop it
    Stop(Stop),
}

/// Which profiles.
#[derive(Debug, Args)]
pub(crate) struct Start {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    old: OldProfiles,
    /// Only what the node made before this time: a date, a time of RFC 3339, or how long ago, such as 2h
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    made_before: Option<Moment>,
    #[command(flatten)]
    sure: Sure,
}

/// Which node.
#[derive(Debug, Args)]
pub(crate) struct Show {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    watch: Watch,
}

/// Which node.
#[derive(Debug, Args)]
pub(crate) struct Stop {
    #[command(flatten)]
    named: Named,
}

impl Reissue {
    pub(super) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        match self {
            Self::Start(start) => start.run(desk).await,
            Self::Show(show) => {
                let find = async || {
                    let request = desk.api.get_endnode_users_reissue().server_id(show.named.node.as_str());
                    desk.api.answer(request.send()).await
                };
                desk.show(&REISSUE, &show.watch, find).await
            }
            Self::Stop(stop) => {
                let request = desk
                    .api
                    .stop_endnode_users_reissue()
                    .server_id(stop.named.node.as_str());
                let reissue = desk.api.answer(request.send()).await?;
                desk.print(&desk.output.brief(&REISSUE, &reissue)?)
            }
        }
    }
}

impl Start {
    async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let after = format!(" {}", self.old.words());
        let deed = self
            .named
            .deed(desk, "make new profiles in the place of all that were made by", &after);
        if !self.sure.agrees(deed).await? {
            return Ok(());
        }
        let body = types::ReissueAll::builder()
            .old_profiles(self.old.value())
            .made_before(self.made_before.as_ref().map(|time| Value::from(time.past())));
        let request = desk
            .api
            .reissue_endnode_users()
            .server_id(self.named.node.as_str())
            .body(body);
        let reissue = desk.api.answer(request.send()).await?;
        desk.print(&desk.output.brief(&REISSUE, &reissue)?)
    }
}
