//! `ca-rollover`: puts another authority in the place of the present one.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use vpnmanager_nats::ids::NodeId;
use vpnmanager_runtime::config::Cli;
use vpnmanager_runtime::process::{self, Stop};
use vpnmanager_runtime::telemetry::{self, LogConfig};
use vpnmanager_runtime::tls;

use crate::config::{DatabaseConfig, PkiConfig};
use crate::domain::certificates::authorities::Step;
use crate::ops::certificates::rollover::{Progress, Wish, progress, roll_over};
use crate::schema;

/// The flags of `ca-rollover`.
#[derive(Debug, Args)]
pub struct CaRolloverArgs {
    #[command(subcommand)]
    step: StepArgs,
}

/// A step, or a look.
#[derive(Debug, Subcommand)]
enum StepArgs {
    /// Say how far it is, and what holds up the next step
    Status,
    /// Make the next authority, and have everybody trust both
    Begin,
    /// Let it sign the certificates of users
    Clients(GoOn),
    /// Let it sign the certificates of nodes
    Servers(GoOn),
    /// Trust the old one no more
    Finish(GoOn),
}

/// What is known better.
#[derive(Debug, Default, Args)]
struct GoOn {
    /// A node whose OpenVPN you run yourself, and that you have seen to; repeat it for each
    #[arg(long, value_name = "ID")]
    seen_to: Vec<NodeId>,
    /// Go on although something breaks
    #[arg(long)]
    force: bool,
}

/// The settings that this command reads.
#[derive(Deserialize, Serialize)]
struct RolloverConfig {
    server_id: String,
    database: DatabaseConfig,
    pki: PkiConfig,
    log: LogConfig,
}

/// Takes the step, and says what comes next.
pub(super) fn ca_rollover(cli: &Cli<impl Sized>, args: &CaRolloverArgs) -> Result<(), Stop> {
    let config: RolloverConfig = cli.load()?;
    config.database.check(cli)?;
    tls::install_crypto_provider();
    let _log = telemetry::init(&config.log, "ca-rollover")?;
    let said = process::block_on(run(&config, &args.step))??;
    Err(Stop::Done(said))
}

fn wish_of(step: &StepArgs) -> Option<Wish> {
    let nothing = GoOn::default();
    let (step, go_on) = match step {
        StepArgs::Status => return None,
        StepArgs::Begin => (Step::Begin, &nothing),
        StepArgs::Clients(go_on) => (Step::Clients, go_on),
        StepArgs::Servers(go_on) => (Step::Servers, go_on),
        StepArgs::Finish(go_on) => (Step::Finish, go_on),
    };
    Some(Wish {
        step,
        seen_to: go_on.seen_to.clone(),
        force: go_on.force,
    })
}

async fn run(config: &RolloverConfig, step: &StepArgs) -> anyhow::Result<String> {
    let db = schema::connect_as_service(&config.database).await?;
    let mut said = String::new();
    if let Some(wish) = wish_of(step) {
        let broken = roll_over(&db, &config.pki.dir, &config.server_id, &wish).await?;
        said.push_str(&done(wish.step, broken.as_deref()));
    }
    said.push_str(&report(&progress(&db).await?));
    db.close().await?;
    Ok(said)
}

fn done(step: Step, broken: Option<&str>) -> String {
    let what = match step {
        Step::Begin => {
            "The next authority is made, and trusted from now on. Copy PKI_DIR of this machine to all other replicas, and start them again: they need \
             its key for the next step. Agents have it within minutes; then let a rollout restart OpenVPN on the nodes of each pool."
        }
        Step::Clients => "New certificates of users are of the new authority. Those that there are go on.",
        Step::Servers => {
            "New certificates of nodes are of the new authority. Agents have one within minutes; then let a rollout restart OpenVPN on the nodes of \
             each pool."
        }
        Step::Finish => "The old authority is gone. Copy PKI_DIR of this machine to all other replicas.",
    };
    match broken {
        Some(broken) => format!("{what}\nWhat breaks by it: {broken}.\n"),
        None => format!("{what}\n"),
    }
}

fn report(progress: &Progress) -> String {
    let mut text = String::new();
    for authority in progress.authorities.all() {
        // Writing to a String cannot fail.
        let _infallible = writeln!(text, "{}  {:?}", authority.fingerprint, authority.stage);
    }
    let due = progress.due.as_str();
    let _infallible = match &progress.breaks {
        Some(breaks) => writeln!(text, "The next step is `{due}`, and has to wait: {breaks}."),
        None => writeln!(text, "The next step is `{due}`."),
    };
    text
}
