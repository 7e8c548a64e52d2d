//! Backups, restored onto empty machines, and what is decided after that.

mod command;
mod decided;
mod round_trip;
mod trusted;
mod waiting;

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use vpnmanager_management::{
    backup::{BackupError, Contents, Destination, Key, Order, RestoreError, Seal, create_backup, restore},
    config::DatabaseConfig,
};
use vpnmanager_testbed::postgres;

use crate::stack::Stack;

/// Long enough.
pub(crate) const PASSPHRASE: &str = "a passphrase of some length";

/// The URL of a database without any table.
pub(crate) async fn empty_database() -> String {
    let cluster = postgres::shared().await.expect("PostgreSQL");
    let name = format!("empty_{}", uuid::Uuid::now_v7().simple());
    cluster.create_database(&name).await.expect("a database")
}

/// A stack that is saved, and an empty machine.
struct Site {
    stack: Stack,
    folder: TempDir,
}

impl Site {
    async fn start() -> Self {
        Self {
            stack: Stack::start().await,
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self) -> PathBuf {
        self.path("backup.age")
    }

    fn order(&self) -> Order {
        let config = &self.stack.config;
        Order {
            file: self.file(),
            seal: Seal::passphrase(PASSPHRASE.into()).expect("long enough"),
            database: config.database.clone(),
            pki: config.pki.dir.clone(),
            bus: config.bus.dir.clone(),
            settings: "{\"server_id\": \"management-test\"}\n".to_owned(),
            server_id: config.server_id.clone(),
        }
    }

    async fn save(&self) -> Result<Contents, BackupError> {
        create_backup(self.order()).await
    }

    fn destination(&self, url: &str) -> Destination {
        Destination {
            database: at(&self.stack.config.database, url),
            pki: self.path("new/pki"),
            bus: self.path("new/bus"),
            settings: Some(self.path("new/settings.json")),
            server_id: "management-new".to_owned(),
        }
    }

    async fn restore(&self, url: &str) -> Result<Contents, RestoreError> {
        restore_file(&self.file(), &self.destination(url)).await
    }
}

async fn restore_file(file: &Path, to: &Destination) -> Result<Contents, RestoreError> {
    restore(file, Key::Passphrase(PASSPHRASE.into()), to).await
}

/// The same settings for another database.
fn at(config: &DatabaseConfig, url: &str) -> DatabaseConfig {
    DatabaseConfig {
        url: Some(url.to_owned().into()),
        ..config.clone()
    }
}
