//! What the commands after a restore have in common: they look at the database, the bus and the nodes.

use std::time::Duration;

use sea_orm::DatabaseConnection;
use serde::{Deserialize, Serialize};
use vpnmanager_runtime::config::Cli;
use vpnmanager_runtime::process::Stop;
use vpnmanager_runtime::telemetry::LogConfig;

use crate::config::{BusConfig, DatabaseConfig};
use crate::ops::restoration::assess::{Assessment, assess};
use crate::ops::restoration::look::{Found, look};
use crate::ops::restoration::mark::{Undecided, undecided};
use crate::schema;
use crate::start::connect_bus;

/// Nodes send a heartbeat each 5 s; one that was lost shall not hide a node.
const LISTEN: Duration = Duration::from_secs(11);

/// The settings that these commands read.
#[derive(Deserialize, Serialize)]
pub(super) struct RestorationSettings {
    pub(super) server_id: String,
    database: DatabaseConfig,
    bus: BusConfig,
    pub(super) log: LogConfig,
}

impl RestorationSettings {
    pub(super) fn load(cli: &Cli<impl Sized>) -> Result<Self, Stop> {
        let config: Self = cli.load()?;
        config.database.check(cli)?;
        Ok(config)
    }
}

/// What was found.
pub(super) struct Gathered {
    pub(super) db: DatabaseConnection,
    pub(super) undecided: Undecided,
    pub(super) found: Found,
    pub(super) assessment: Assessment,
}

/// Looks at everything; `None`: nothing waits for a decision.
pub(super) async fn gather(config: &RestorationSettings) -> anyhow::Result<Option<Gathered>> {
    let db = schema::connect_as_owner(&config.database).await?;
    let Some(undecided) = undecided(&db).await? else {
        return Ok(None);
    };
    let (bus, topology) = connect_bus(&config.bus, &config.server_id).await?;
    let found = look(&db, &bus, &topology, LISTEN).await?;
    let assessment = assess(&db, &found).await?;
    Ok(Some(Gathered {
        db,
        undecided,
        found,
        assessment,
    }))
}
