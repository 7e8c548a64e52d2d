//! What an attack leaves in the database.

use sea_orm::{DatabaseConnection, DbErr, FromQueryResult, Statement};
use serde::Serialize;

/// Sizes, or how much they grew.
#[derive(Debug, Clone, Copy, Default, Serialize, FromQueryResult)]
pub(super) struct Stored {
    /// Rows of the audit trail, which nothing deletes.
    pub(super) trail_rows: i64,
    /// Bytes of the whole database.
    pub(super) bytes: i64,
}

impl Stored {
    /// What is there now.
    pub(super) async fn look(db: &DatabaseConnection) -> Result<Self, DbErr> {
        let sql = "SELECT count(*) AS trail_rows, pg_database_size(current_database()) AS bytes FROM audit_log";
        let statement = Statement::from_string(sea_orm::DatabaseBackend::Postgres, sql);
        let found = Self::find_by_statement(statement).one(db).await?;
        Ok(found.unwrap_or_default())
    }

    /// How much more there is than at an earlier look.
    pub(super) async fn since(self, db: &DatabaseConnection) -> Result<Self, DbErr> {
        let now = Self::look(db).await?;
        Ok(Self {
            trail_rows: now.trail_rows - self.trail_rows,
            bytes: now.bytes - self.bytes,
        })
    }

    /// MB of the database.
    pub(super) fn megabytes(self) -> f64 {
        self.bytes as f64 / 1e6
    }
}
