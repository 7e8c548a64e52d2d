//! `migrate`: brings the schema up to date, gives the service's role its rights where the tables have another owner, and exits.

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use vpnmanager_runtime::config::Cli;
use vpnmanager_runtime::process::{self, Stop};
use vpnmanager_runtime::telemetry::{self, LogConfig};
use vpnmanager_runtime::tls;

use crate::config::DatabaseConfig;
use crate::{schema, start::connecting_failed};

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
    let owner = database.owner_connection_url();
    let db = schema::connect(&owner.unwrap_or_else(|| database.connection_url()))
        .await
        .map_err(|error| connecting_failed(database, error))?;
    if database.has_owner() {
        schema::as_owner(&db, &database.service_role()).await?;
    } else {
        vpnmanager_migration::run(&db)
            .await
            .context("the migrations failed; nothing was changed")?;
    }
    db.close().await?;
    Ok(())
}
