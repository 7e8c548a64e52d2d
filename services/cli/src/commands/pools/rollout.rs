//! `pools rollout`.

use std::time::Duration;

use clap::{Args, Subcommand};
use clap_complete::ArgValueCompleter;
use serde_json::Value;

use crate::arguments::Watch;
use crate::client::types;
use crate::desk::Desk;
use crate::failure::Failure;
use crate::names;
use crate::output::{Look, Shape, column, tidy};
use crate::question::Sure;
use crate::values::in_one_unit;

const ROLLOUT: Shape = Shape {
    name: "/id",
    columns: &[
        column("ROLLOUT", "/id"),
        column("POOL", "/pool"),
        column("STATE", "/state"),
        column("ASKED", "/asked_at").shown(Look::Time),
        column("ENDED", "/ended_at").shown(Look::Time),
        column("NODES", "/nodes").shown(Look::Each("state")),
    ],
};

/// What to do about a rollout.
#[derive(Debug, Subcommand)]
pub(crate) enum Rollout {
    /// Start one
    Start(Start),
    /// Show how far it is
    Show(Show),
    /// Stop it after the node that restarts now
    Stop(Stop),
}

/// How it goes.
#[derive(Debug, Args)]
pub(crate) struct Start {
    /// The pool
    #[arg(value_name = "POOL", add = ArgValueCompleter::new(names::pools))]
    pool: String,
    /// Do not move the clients of a node to others before it restarts: they lose the tunnel for a moment
    #[arg(long)]
    no_drain: bool,
    /// How long the move may take on one node, 10s to 24h [default: 10m]
    #[arg(long, value_name = "DURATION", conflicts_with = "no_drain", value_parser = in_one_unit)]
    drain_for: Option<String>,
    /// Wait until it has ended, an hour at most or as long as you say
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = "1h", value_parser = humantime::parse_duration)]
    wait: Option<Duration>,
    #[command(flatten)]
    sure: Sure,
}

/// Which pool.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The pool
    #[arg(value_name = "POOL", add = ArgValueCompleter::new(names::pools))]
    pool: String,
    #[command(flatten)]
    watch: Watch,
}

/// Which pool.
#[derive(Debug, Args)]
pub(crate) struct Stop {
    /// The pool
    #[arg(value_name = "POOL", add = ArgValueCompleter::new(names::pools))]
    pool: String,
}

impl Rollout {
    pub(super) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        match self {
            Self::Start(start) => start.run(desk).await,
            Self::Show(show) => {
                desk.show(&ROLLOUT, &show.watch, async || find(desk, &show.pool).await)
                    .await
            }
            Self::Stop(stop) => {
                let rollout = desk
                    .api
                    .answer(desk.api.stop_pool_rollout().name(stop.pool.as_str()).send())
                    .await?;
                desk.print(&desk.output.brief(&ROLLOUT, &rollout)?)
            }
        }
    }
}

impl Start {
    async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let drain = !self.no_drain;
        if !self.sure.agrees(deed(desk, &self.pool, drain)).await? {
            return Ok(());
        }
        let body = types::NewRollout::builder()
            .drain(Some(Value::Bool(drain)))
            .drain_for(self.drain_for.clone().map(Value::from));
        let request = desk.api.start_pool_rollout().name(self.pool.as_str()).body(body);
        let mut rollout = desk.api.answer(request.send()).await?;
        if let Some(patience) = self.wait {
            let what = format!("the rollout of {} has ended", self.pool);
            let look = async || find(desk, &self.pool).await;
            rollout = desk
                .until(&what, patience, look, |rollout| state(rollout) != "running")
                .await?;
        }
        desk.print(&desk.output.brief(&ROLLOUT, &rollout)?)?;
        match state(&rollout) {
            "failed" | "stopped" => {
                let detail = rollout.get("detail").and_then(Value::as_str).unwrap_or_default();
                Err(Failure::failed(format!(
                    "the rollout {}: {}",
                    state(&rollout),
                    tidy(detail)
                )))
            }
            _ => Ok(()),
        }
    }
}

fn state(rollout: &Value) -> &str {
    rollout.get("state").and_then(Value::as_str).unwrap_or_default()
}

async fn find(desk: &Desk, pool: &str) -> Result<Value, Failure> {
    desk.api.answer(desk.api.get_pool_rollout().name(pool).send()).await
}

async fn deed(desk: &Desk, pool: &str, drain: bool) -> Result<String, Failure> {
    let found = desk.api.answer(desk.api.get_pool().name(pool).send()).await?;
    let nodes = found.get("nodes").and_then(Value::as_u64).unwrap_or_default();
    let clients = match drain {
        true => "whose clients are moved away before",
        false => "whose clients lose the tunnel for a moment",
    };
    Ok(format!("restart the VPN servers of {nodes} nodes in {pool}, {clients}"))
}
