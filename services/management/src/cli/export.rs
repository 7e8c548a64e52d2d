//! `export`: writes users and certificates as files.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::{Deserialize, Serialize};
use vpnmanager_nats::ids::NodeId;
use vpnmanager_runtime::config::Cli;
use vpnmanager_runtime::process::{self, Stop};
use vpnmanager_runtime::telemetry::{self, LogConfig};
use vpnmanager_runtime::tls;

use crate::config::DatabaseConfig;
use crate::ops::export::write_files::{Exported, write_files};
use crate::schema;

/// The flags of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Folder for the files, made with mode 0700 when it is absent; it must be empty
    #[arg(long, value_name = "FOLDER")]
    dir: PathBuf,
    /// Only the users whose home is this node, and the certificates that it made or accepts
    #[arg(long, value_name = "ID")]
    node: Option<NodeId>,
}

/// The settings that this command reads.
#[derive(Deserialize, Serialize)]
struct ExportConfig {
    database: DatabaseConfig,
    log: LogConfig,
}

/// Writes the files.
pub(super) fn export(cli: &Cli<impl Sized>, args: &ExportArgs) -> Result<(), Stop> {
    let config: ExportConfig = cli.load()?;
    config.database.check(cli)?;
    tls::install_crypto_provider();
    let _log = telemetry::init(&config.log, "export")?;
    let exported = process::block_on(run(&config.database, args))??;
    Err(Stop::Done(told(&args.dir, exported)))
}

async fn run(database: &DatabaseConfig, args: &ExportArgs) -> anyhow::Result<Exported> {
    let db = schema::connect_as_service(database).await?;
    let exported = write_files(&db, &args.dir, args.node.as_ref()).await?;
    db.close().await?;
    Ok(exported)
}

fn told(folder: &Path, exported: Exported) -> String {
    let Exported {
        users,
        certificates,
        old_certificates,
    } = exported;
    let shown = folder.display();
    format!(
        "{shown}/users.csv: {users} users\n\
         {shown}/old-certificates.csv: {old_certificates} certificates of old servers\n\
         {shown}/pki: {certificates} certificates, as easy-rsa has them\n\
         Private keys are not among them: those of users are on their nodes, and that of the authority is in PKI_DIR.\n"
    )
}
