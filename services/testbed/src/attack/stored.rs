//! What an attack leaves behind: in the database, and in the logs.

use sea_orm::{DbErr, FromQueryResult, Statement};
use serde::Serialize;
use vpnmanager_testbed::stack::Part;

use super::scene::Scene;

/// Sizes, or how much they grew.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Stored {
    /// Rows of the audit trail, which nothing deletes.
    pub(super) trail_rows: i64,
    /// Bytes of the whole database.
    pub(super) bytes: i64,
    /// Lines of management's log.
    pub(super) log_lines: i64,
    /// Bytes of nats-server's log.
    pub(super) bus_log_bytes: i64,
}

#[derive(Debug, Default, FromQueryResult)]
struct Sizes {
    trail_rows: i64,
    bytes: i64,
}

impl Stored {
    /// What is there now.
    pub(super) async fn look(scene: &Scene) -> Result<Self, DbErr> {
        let sql = "SELECT count(*) AS trail_rows, pg_database_size(current_database()) AS bytes FROM audit_log";
        let statement = Statement::from_string(sea_orm::DatabaseBackend::Postgres, sql);
        let Sizes { trail_rows, bytes } = Sizes::find_by_statement(statement)
            .one(&scene.db)
            .await?
            .unwrap_or_default();
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        Ok(Self {
            trail_rows,
            bytes,
            log_lines: count(scene.stack.log(Part::Management).count("\n")),
            bus_log_bytes: count(scene.stack.log(Part::Nats).text().len()),
        })
    }

    /// How much more there is than at an earlier look.
    pub(super) async fn since(self, scene: &Scene) -> Result<Self, DbErr> {
        let now = Self::look(scene).await?;
        Ok(Self {
            trail_rows: now.trail_rows - self.trail_rows,
            bytes: now.bytes - self.bytes,
            log_lines: now.log_lines - self.log_lines,
            bus_log_bytes: now.bus_log_bytes - self.bus_log_bytes,
        })
    }

    /// MB of the whole database.
    pub(super) fn megabytes(self) -> f64 {
        self.bytes as f64 / 1e6
    }
}
