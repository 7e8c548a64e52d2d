//! `migrate`: brings the schema up to date, gives the service's role its rights where the tables have another owner, and exits.

use serde::{Deserialize, Serialize};
use vpnmanager_runtime::config::Cli;
use vpnmanager_runtime::process::{self, Stop};
use vpnmanager_runtime::telemetry::{self, LogConfig};
use vpnmanager_runtime::tls;

use crate::config::DatabaseConfig;
use crate::schema;

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
    process::block_on(schema::migrate(&config.database))?.map_err(anyhow::Error::from)?;
    Err(Stop::Done("The database has the schema of this release.\n".to_owned()))
}
