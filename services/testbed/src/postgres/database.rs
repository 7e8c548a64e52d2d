//! Databases of a cluster, also cloned from a prepared template (50 ms in place of a migration each).

use std::{collections::BTreeSet, time::Duration};

use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbErr};
use tokio::sync::Mutex;

use super::Postgres;

/// A server that is up answers at once; one that is down should not hold anybody up.
const PATIENCE: Duration = Duration::from_secs(3);

/// Templates that this process has prepared, as `port/name`.
static PREPARED: Mutex<BTreeSet<String>> = Mutex::const_new(BTreeSet::new());

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
    ///
    /// # Errors
    /// What the driver says.
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
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn create_database(&self, name: &str) -> Result<String, DatabaseError> {
        self.execute("create", name, &format!("CREATE DATABASE \"{name}\""))
            .await
    }

    /// Creates a database as a copy of another that nobody is connected to, and returns its URL.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn clone_database(&self, template: &str, name: &str) -> Result<String, DatabaseError> {
        self.execute(
            "create",
            name,
            &format!("CREATE DATABASE \"{name}\" TEMPLATE \"{template}\""),
        )
        .await
    }

    /// Drops a database, ending the sessions in it.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn drop_database(&self, name: &str) -> Result<(), DatabaseError> {
        self.execute(
            "drop",
            name,
            &format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)"),
        )
        .await
        .map(drop)
    }

    /// A new database with a random name, cloned from `template`, which `prepare` fills (by its URL) the first time.
    /// `prepare` must have closed its connections when it returns.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn fresh_database<E>(
        &self,
        template: &str,
        prepare: impl AsyncFnOnce(String) -> Result<(), E>,
    ) -> Result<String, DatabaseError>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let mut prepared = PREPARED.lock().await;
        let key = format!("{}/{template}", self.port());
        if !prepared.contains(&key) {
            self.drop_database(template).await?;
            let url = self.create_database(template).await?;
            let failed = |source: E| DatabaseError::Prepare {
                name: template.to_owned(),
                source: source.into(),
            };
            prepare(url).await.map_err(failed)?;
            prepared.insert(key);
        }
        // Cloning needs the template to itself, so clones are made one after the other.
        let name = format!("t_{}", uuid::Uuid::now_v7().simple());
        self.clone_database(template, &name).await
    }

    async fn execute(&self, what: &'static str, name: &str, sql: &str) -> Result<String, DatabaseError> {
        let refused = |source| DatabaseError::Refused {
            what,
            name: name.to_owned(),
            source,
        };
        let connection = self.connect("postgres").await.map_err(refused)?;
        let done = connection.execute_unprepared(sql).await;
        // A connection that does not close is the server's to end.
        let _ = connection.close().await;
        done.map_err(refused)?;
        Ok(self.url(name))
    }
}
