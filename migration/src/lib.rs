#![doc = include_str!("../README.md")]

use sea_orm_migration::{
    prelude::*,
    sea_orm::{ConnectionTrait, DatabaseConnection, TransactionTrait},
};

mod m20261122_000001_initial;

/// Any constant that nothing else in this database locks; the letters of "vpnm".
const MIGRATION_LOCK: i64 = 0x7670_6e6d;

/// The list of migrations, in order.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(m20261122_000001_initial::Migration)]
    }
}

/// Brings the database to this release's schema: all pending migrations in one transaction, under an advisory lock, so that
/// several replicas may start at once.
///
/// # Errors
/// The database does not answer, or a migration fails; nothing is changed then.
pub async fn run(db: &DatabaseConnection) -> Result<(), DbErr> {
    let transaction = db.begin().await?;
    transaction
        .execute_unprepared(&format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
        .await?;
    Migrator::up(&transaction, None).await?;
    transaction.commit().await
}
