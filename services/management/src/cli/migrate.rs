//! `migrate`: brings the schema up to date and exits.

use std::time::Duration;

use anyhow::Context as _;
use sea_orm::{ConnectOptions, Database};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use vpnmanager_runtime::config::Cli;
use vpnmanager_runtime::process::{self, Stop};
use vpnmanager_runtime::telemetry::{self, LogConfig};
use vpnmanager_runtime::tls;

use crate::config::DatabaseConfig;
use crate::start::connecting_failed;

/// How long to wait for a database that is just starting.
const PATIENCE: Duration = Duration::from_secs(5);

/// The settings that this command reads.
#[derive(Deserialize, Serialize)]
struct MigrateConfig {
    database: DatabaseConfig,
    log: LogConfig,
}

/// Brings the database to this release's schema.
pub(super) fn migrate(cli: &Cli<impl Sized>) -> Result<(), Stop> {
    let config: MigrateConfig = cli.load()?;
    config.database.check(cli)?;
    tls::install_crypto_provider();
    let _log = telemetry::init(&config.log, "migrate")?;
    process::block_on(run(&config.database))??;
    Err(Stop::Done("The database has the schema of this release.\n".to_owned()))
}

async fn run(database: &DatabaseConfig) -> anyhow::Result<()> {
    let mut options = ConnectOptions::new(database.connection_url().expose_secret());
    options
        .max_connections(1)
        .acquire_timeout(PATIENCE)
        .connect_timeout(PATIENCE)
        .sqlx_logging(false);
    let db = Database::connect(options)
        .await
        .with_context(|| connecting_failed(database))?;
    vpnmanager_migration::run(&db)
        .await
        .context("the migrations failed; nothing was changed")?;
    db.close().await?;
    Ok(())
}
