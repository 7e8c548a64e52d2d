#![doc = include_str!("../README.md")]

use sea_orm_migration::{
    prelude::*,
    sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, TransactionTrait},
};

mod migrations;
mod standing;

pub use standing::{Standing, standing_of};

use migrations::MIGRATIONS;

/// Any constant that nothing else in this database locks; the letters of "vpnm".
const MIGRATION_LOCK: i64 = 0x7670_6e6d;

/// The list of migrations, in order.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        MIGRATIONS
            .iter()
            .map(|migration| Box::new(*migration) as Box<dyn MigrationTrait>)
            .collect()
    }
}

/// One migration, for who brings an empty database to an older schema: to restore a backup that was made with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Its name in the list of applied migrations.
    pub name: &'static str,
    /// Its statements.
    pub sql: &'static str,
}

/// All migrations of this release, in their order.
pub fn history() -> impl ExactSizeIterator<Item = Step> {
    MIGRATIONS.iter().map(|migration| Step {
        name: migration.name,
        sql: migration.sql,
    })
}

/// The statement that keeps all others from migrating until the transaction ends.
#[must_use]
pub fn lock_statement() -> String {
    format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
}

/// Brings the database to this release's schema: all pending migrations in one transaction, under an advisory lock, so that
/// several replicas may start at once. It takes as long as it takes: a limit of the session for one statement does not apply.
///
/// # Errors
/// The database does not answer, or a migration fails; nothing is changed then.
pub async fn run(db: &DatabaseConnection) -> Result<(), DbErr> {
    run_within(db).await?.commit().await
}

/// What failed of bringing a database up to date and giving its service the rights that it needs; nothing was changed.
#[derive(Debug)]
pub enum OwnerError {
    /// A migration.
    Migrate(DbErr),
    /// Giving the service's role what it needs.
    Grant(DbErr),
}

/// The same as the owner of the tables, for a service that owns nothing: in one transaction, so that what the service does meanwhile never
/// meets a table that it may not use.
///
/// # Errors
/// As for [`run`]; or the role does not exist, or the caller does not own the tables.
pub async fn run_for(owner: &DatabaseConnection, service: &str) -> Result<(), OwnerError> {
    let transaction = run_within(owner).await.map_err(OwnerError::Migrate)?;
    standing::grant(&transaction, service)
        .await
        .map_err(OwnerError::Grant)?;
    transaction.commit().await.map_err(OwnerError::Grant)
}

async fn run_within(db: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    let transaction = db.begin().await?;
    transaction
        .execute_unprepared("SET LOCAL statement_timeout = 0")
        .await?;
    lock(&transaction).await?;
    Migrator::up(&transaction, None).await?;
    Ok(transaction)
}

/// Keeps others from changing the schema or the rights on it until the transaction ends.
async fn lock(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    transaction.execute_unprepared(&lock_statement()).await.map(drop)
}
