//! One cluster for many tests.

use std::{ffi::OsString, path::PathBuf};

use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

use super::{Durability, Postgres, PostgresError};
use crate::{environment, process::Identity};

/// The environment variable by which `vpnmanager-testbed share` tells tests about the cluster that it started for them.
pub const SHARED: &str = "VPNMANAGER_SHARED_POSTGRES";

#[derive(Serialize, Deserialize)]
struct Description {
    data: PathBuf,
    port: u16,
    process: Identity,
}

/// The cluster that the variable [`SHARED`] describes, or one of this process, started at the first call and ended with
/// the process.
///
/// # Errors
/// When PostgreSQL is missing or does not start; the next call tries again.
pub async fn shared() -> Result<&'static Postgres, PostgresError> {
    static CLUSTER: OnceCell<Postgres> = OnceCell::const_new();
    CLUSTER
        .get_or_try_init(async || match described() {
            Some(Description { data, port, process }) => Ok(Postgres::adopt(&data, port, Durability::Fast, process)),
            None => Postgres::start(Durability::Fast).await,
        })
        .await
}

/// The value of [`SHARED`] that makes other processes use this cluster.
#[must_use]
pub fn describe(cluster: &Postgres) -> OsString {
    let description = Description {
        data: cluster.data().to_path_buf(),
        port: cluster.port(),
        process: cluster.identity(),
    };
    serde_json::to_string(&description).unwrap_or_default().into()
}

fn described() -> Option<Description> {
    let text = environment::variable(SHARED)?;
    serde_json::from_str(text.to_str()?).ok()
}
