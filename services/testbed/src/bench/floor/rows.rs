//! The commits: one row each, in a separate database of the same cluster.

use anyhow::Context;
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, Statement};
use vpnmanager_testbed::stack::Stack;

const DATABASE: &str = "bench_floor";
/// About as many bytes as management writes for one user in its first transaction.
const NOTE_BYTES: usize = 400;

/// A pool as large as the number of clients, all connections open.
#[derive(Debug, Clone)]
pub(super) struct Rows {
    db: DatabaseConnection,
}

impl Rows {
    pub(super) async fn prepare(stack: &Stack, clients: u16) -> anyhow::Result<Self> {
        let url = stack.state().database_url();
        let admin = Database::connect(&url).await.context("cannot connect to PostgreSQL")?;
        admin.execute_unprepared(&format!("CREATE DATABASE {DATABASE}")).await?;
        admin.close().await?;
        let url = url.replacen("/vpnmanager?", &format!("/{DATABASE}?"), 1);
        let mut options = ConnectOptions::new(url);
        options
            .max_connections(clients.into())
            .min_connections(clients.into())
            .test_before_acquire(false)
            .sqlx_logging(false);
        let db = Database::connect(options).await?;
        db.execute_unprepared("CREATE TABLE creates (id BIGINT PRIMARY KEY, note TEXT NOT NULL)")
            .await?;
        db.execute_unprepared("CREATE TABLE acks (id BIGINT PRIMARY KEY, note TEXT NOT NULL)")
            .await?;
        Ok(Self { db })
    }

    pub(super) async fn create(&self, number: i64) -> anyhow::Result<()> {
        self.insert("INSERT INTO creates (id, note) VALUES ($1, $2)", number)
            .await
    }

    pub(super) async fn ack(&self, number: i64) -> anyhow::Result<()> {
        self.insert("INSERT INTO acks (id, note) VALUES ($1, $2)", number).await
    }

    async fn insert(&self, sql: &str, number: i64) -> anyhow::Result<()> {
        let note = "x".repeat(NOTE_BYTES);
        let statement =
            Statement::from_sql_and_values(self.db.get_database_backend(), sql, [number.into(), note.into()]);
        self.db.execute_raw(statement).await?;
        Ok(())
    }
}
