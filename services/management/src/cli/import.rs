//! `import`: imports what old servers left, one source after the other.

mod policy_args;
mod text;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use sea_orm::DatabaseConnection;
use serde::{Deserialize, Serialize};
use serde_json::json;
use vpnmanager_nats::ids::NodeId;
use vpnmanager_runtime::config::Cli;
use vpnmanager_runtime::error_chain::chain;
use vpnmanager_runtime::process::{self, Stop};
use vpnmanager_runtime::telemetry::{self, LogConfig};
use vpnmanager_runtime::tls;

use crate::config::{DatabaseConfig, PlacementConfig};
use crate::domain::actor::Actor;
use crate::domain::import::policies::Policies;
use crate::domain::import::report::Report;
use crate::ops::import::import_source::import_source;
use crate::ops::import::order::{Order, Progress};
use crate::ops::import::source::read_path;
use crate::ops::users::create::PlacementRules;
use crate::schema;
use policy_args::PolicyArgs;

/// How often a long import says how far it is.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// The flags of `import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// File or folder of an old server: its /etc/openvpn, an easy-rsa folder, an SQLite database, a CSV, or a tar of a folder
    #[arg(value_name = "SOURCE", requires = "node", conflicts_with = "sources")]
    source: Option<PathBuf>,
    /// The node that the source is of: the SERVER_ID of the agent on that machine
    #[arg(long, value_name = "ID", requires = "source")]
    node: Option<NodeId>,
    /// A node and its source; repeat it for each, they are imported one after the other
    #[arg(long = "source", value_name = "ID=SOURCE", required_unless_present = "source", value_parser = node_and_source)]
    sources: Vec<(NodeId, PathBuf)>,
    /// Say what would happen, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// End with exit code 1 when there are conflicts
    #[arg(long)]
    fail_on_conflicts: bool,
    #[command(flatten)]
    policies: PolicyArgs,
}

/// The settings that this command reads.
#[derive(Deserialize, Serialize)]
struct ImportConfig {
    server_id: String,
    database: DatabaseConfig,
    placement: PlacementConfig,
    log: LogConfig,
}

/// A source that was not imported.
struct Failure {
    node: NodeId,
    source: String,
    error: String,
}

/// Imports the sources.
pub(super) fn import(cli: &Cli<impl Sized>, args: &ImportArgs) -> Result<(), Stop> {
    let config: ImportConfig = cli.load()?;
    config.database.check(cli)?;
    tls::install_crypto_provider();
    let _log = telemetry::init(&config.log, "import")?;
    let (reports, failures) = process::block_on(run(&config, args))??;
    let text = match args.json {
        true => as_json(args, &reports, &failures),
        false => as_text(args, &reports, &failures),
    };
    let conflicts: u64 = reports.iter().map(|report| report.counts.conflicts).sum();
    let wrong = match (failures.len(), conflicts) {
        (0, 1..) if args.fail_on_conflicts => format!("there are {conflicts} conflicts"),
        (0, _) => return Err(Stop::Done(text)),
        (failed, _) => format!("{failed} sources were not imported"),
    };
    process::print(&text)?;
    Err(Stop::Failed(anyhow::Error::msg(wrong)))
}

async fn run(config: &ImportConfig, args: &ImportArgs) -> anyhow::Result<(Vec<Report>, Vec<Failure>)> {
    let db = schema::connect_as_service(&config.database).await?;
    let rules = PlacementRules {
        nodes_per_user: config.placement.replicas,
        recorder: config.server_id.clone(),
    };
    let policies = args.policies.policies();
    let importing = Importing {
        db: &db,
        rules: &rules,
        policies: &policies,
        is_trial: args.dry_run,
    };
    let named = args.node.iter().cloned().zip(args.source.iter().cloned());
    let (mut reports, mut failures) = (Vec::new(), Vec::new());
    for (node, source) in named.chain(args.sources.iter().cloned()) {
        match importing.one(&node, &source).await {
            Ok(report) => reports.push(report),
            Err(error) => failures.push(Failure {
                node,
                source: source.display().to_string(),
                error: format!("{error:#}"),
            }),
        }
    }
    db.close().await?;
    Ok((reports, failures))
}

/// What all sources of one run have in common.
struct Importing<'a> {
    db: &'a DatabaseConnection,
    rules: &'a PlacementRules,
    policies: &'a Policies,
    is_trial: bool,
}

impl Importing<'_> {
    async fn one(&self, node: &NodeId, source: &Path) -> anyhow::Result<Report> {
        let path = source.to_owned();
        let read = tokio::task::spawn_blocking(move || read_path(&path)).await;
        let read = read.context("reading the source was interrupted")??;
        let (name, actor) = (source.display().to_string(), Actor::command());
        let order = Order {
            node,
            source: &name,
            read: &read,
            policies: self.policies,
            actor: &actor,
            is_trial: self.is_trial,
        };
        let told = Mutex::new(Instant::now());
        let on_progress = |progress: Progress| tell(&name, &told, progress);
        Ok(import_source(self.db, self.rules, &order, &on_progress).await?)
    }
}

/// Says how far it is, on stderr, where it was not said for a while.
fn tell(source: &str, told: &Mutex<Instant>, progress: Progress) {
    // Nothing panics while it is held.
    let Ok(mut told) = told.lock() else { return };
    if told.elapsed() < TELL_EVERY {
        return;
    }
    *told = Instant::now();
    let Progress { done, total } = progress;
    // stderr may be closed; then nobody wants to know.
    let _closed = writeln!(io::stderr().lock(), "{source}: {done} of {total} users");
}

fn as_json(args: &ImportArgs, reports: &[Report], failures: &[Failure]) -> String {
    let failures: Vec<_> = failures
        .iter()
        .map(|Failure { node, source, error }| json!({ "node": node, "source": source, "error": error }))
        .collect();
    let all = json!({ "dry_run": args.dry_run, "imports": reports, "failures": failures });
    format!("{all:#}\n")
}

fn as_text(args: &ImportArgs, reports: &[Report], failures: &[Failure]) -> String {
    let mut text: String = reports.iter().map(|report| text::of(report, args.dry_run)).collect();
    for Failure { node, source, error } in failures {
        text += &format!("{node}: {source}\n  not imported: {error}\n\n");
    }
    if reports.len() + failures.len() > 1 {
        text += &text::summary(reports, failures.len());
    }
    if args.dry_run {
        text += "This was a trial: nothing was changed.\n";
    }
    text
}

/// `node-1=/etc/openvpn`.
fn node_and_source(text: &str) -> Result<(NodeId, PathBuf), String> {
    let parts = text.split_once('=').filter(|(_, source)| !source.is_empty());
    let (node, source) = parts.ok_or_else(|| "expected a node and a source such as node-1=/etc/openvpn".to_owned())?;
    let node = node.parse::<NodeId>().map_err(|error| chain(&error).to_string())?;
    Ok((node, source.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_named_with_its_node() {
        let (node, source) = node_and_source("node-1=/etc/openvpn=old").expect("both");
        assert_eq!((node.as_str(), source), ("node-1", PathBuf::from("/etc/openvpn=old")));
        for wrong in ["node-1", "node-1=", "=/etc/openvpn", "no node=/etc/openvpn"] {
            node_and_source(wrong).unwrap_err();
        }
    }
}
