//! Makes databases in a cluster. They can be cloned from a prepared template, which takes 50 ms and no migration.

use std::time::Duration;

use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbErr, Statement};

use super::Postgres;

/// A server that is up answers at once; one that is down should not delay the caller for long.
const PATIENCE: Duration = Duration::from_secs(3);

/// PostgreSQL clones a template only if nobody else uses it. So only one of the processes that share the cluster may clone or prepare at a
/// time.
const ALONE: &str = "SELECT pg_advisory_lock(hashtext('vpnmanager-testbed templates'))";

/// A database could not be made.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// PostgreSQL refused.
    #[error("cannot {what} database {name}")]
    Refused {
        /// Verb.
        what: &'static str,
        /// Database.
        name: String,
        /// Why.
        #[source]
        source: DbErr,
    },
    /// The template's preparation failed.
    #[error("cannot prepare the template database {name}")]
    Prepare {
        /// Template.
        name: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Postgres {
    /// An open connection (a pool of one).
    pub async fn connect(&self, database: &str) -> Result<DatabaseConnection, DbErr> {
        let mut options = ConnectOptions::new(self.url(database));
        options
            .max_connections(1)
            .acquire_timeout(PATIENCE)
            .connect_timeout(PATIENCE)
            .sqlx_logging(false);
        Database::connect(options).await
    }

    /// Creates an empty database and returns its URL.
    pub async fn create_database(&self, name: &str) -> Result<String, DatabaseError> {
        self.execute("create", name, &format!("CREATE DATABASE \"{name}\""))
            .await
    }

    /// Creates a database as a copy of another that nobody is connected to, and returns its URL.
    pub async fn clone_database(&self, template: &str, name: &str) -> Result<String, DatabaseError> {
        self.execute(
            "create",
            name,
            &format!("CREATE DATABASE \"{name}\" TEMPLATE \"{template}\""),
        )
        .await
    }

    /// Drops a database, ending the sessions in it.
    pub async fn drop_database(&self, name: &str) -> Result<(), DatabaseError> {
        self.execute(
            "drop",
            name,
            &format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)"),
        )
        .await
        .map(drop)
    }

    /// A new database with a random name, cloned from `template`, which `prepare` fills (by its URL) when the cluster
    /// does not have it yet. `prepare` must have closed its connections when it returns.
    ///
    /// # Errors
    /// When PostgreSQL refuses, or what `prepare` returns.
    pub async fn fresh_database<E>(
        &self,
        template: &str,
        prepare: impl AsyncFnOnce(String) -> Result<(), E>,
    ) -> Result<String, DatabaseError>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let refused = |source| refused("prepare", template, source);
        let lock = self.connect("postgres").await.map_err(refused)?;
        lock.execute_unprepared(ALONE).await.map_err(refused)?;
        if !is_template(&lock, template).await.map_err(refused)? {
            // Its preparation was interrupted earlier.
            self.drop_database(template).await?;
            let url = self.create_database(template).await?;
            let failed = |source: E| DatabaseError::Prepare {
                name: template.to_owned(),
                source: source.into(),
            };
            prepare(url).await.map_err(failed)?;
            let ready = format!("ALTER DATABASE \"{template}\" IS_TEMPLATE true");
            lock.execute_unprepared(&ready).await.map_err(refused)?;
        }
        let name = format!("t_{}", uuid::Uuid::now_v7().simple());
        let cloned = self.clone_database(template, &name).await;
        // If closing fails, the server ends the connection, and with it the lock.
        let _ = lock.close().await;
        cloned
    }

    async fn execute(&self, what: &'static str, name: &str, sql: &str) -> Result<String, DatabaseError> {
        let refused = |source| refused(what, name, source);
        let connection = self.connect("postgres").await.map_err(refused)?;
        let done = connection.execute_unprepared(sql).await;
        // If closing fails, the server ends the connection.
        let _ = connection.close().await;
        done.map_err(refused)?;
        Ok(self.url(name))
    }
}

async fn is_template(connection: &DatabaseConnection, name: &str) -> Result<bool, DbErr> {
    let sql = "SELECT 1 FROM pg_database WHERE datname = $1 AND datistemplate";
    let statement = Statement::from_sql_and_values(connection.get_database_backend(), sql, [name.into()]);
    Ok(connection.query_one_raw(statement).await?.is_some())
}

fn refused(what: &'static str, name: &str, source: DbErr) -> DatabaseError {
    DatabaseError::Refused {
        what,
        name: name.to_owned(),
        source,
    }
}
