//! Brings the database to this release's schema, as the role that owns the tables, and says when the service itself could rewrite the
//! audit trail.

use std::time::Duration;

use sea_orm::{
    ConnectOptions, Database, DatabaseConnection, DbErr, FromQueryResult, Statement, sqlx::postgres::PgConnection,
};
use secrecy::{ExposeSecret, SecretString};
use tracing::{info, warn};
use vpnmanager_migration::{OwnerError, Standing};

use crate::{
    config::DatabaseConfig,
    ops::sqlstate::{Meaning, meaning},
    pooler,
    reach::Reach,
};

/// How long to wait for a connection of the owner.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why the schema is not up to date.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The role cannot connect.
    #[error("{said} (it is at {place})")]
    Connect {
        /// What may be the cause.
        said: &'static str,
        /// Where PostgreSQL is.
        place: String,
        /// Why.
        #[source]
        source: DbErr,
    },
    /// This role may not change the schema, and no other is given.
    #[error(
        "the database has not the schema of this release, and the role {role} may not change it: run `vpnmanager-management migrate` with \
         DB_OWNER_USER, the role that owns the tables"
    )]
    NotOwner {
        /// The role of the service.
        role: String,
        /// What PostgreSQL said.
        #[source]
        source: DbErr,
    },
    /// A newer release has changed the schema, and there is no way down.
    #[error(
        "the database is of a newer release (migration {migration} is unknown here): start that release, or restore the backup that was made \
         before it"
    )]
    Newer {
        /// The migration that this release does not know.
        migration: String,
    },
    /// It lacks migrations of this release, which the service applies when it starts.
    #[error(
        "the database has not the schema of this release: run `vpnmanager-management migrate`, or start the service once"
    )]
    Older,
    /// A migration failed; nothing was changed.
    #[error("a migration failed; nothing was changed")]
    Migrate(#[source] DbErr),
    /// There is a pooler in between that does not let through what management needs.
    #[error("{advice}")]
    Pooler {
        /// What to do.
        advice: &'static str,
        /// What it said.
        #[source]
        source: DbErr,
    },
    /// The service's role could not be given what it needs.
    #[error("giving the role {role} its rights failed")]
    Grant {
        /// The role of the service.
        role: String,
        /// Why.
        #[source]
        source: DbErr,
    },
}

impl SchemaError {
    /// Whether it may go away by itself.
    pub fn is_worth_another_try(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Migrate(_) | Self::Grant { .. } => true,
            Self::NotOwner { .. } | Self::Newer { .. } | Self::Older | Self::Pooler { .. } => false,
        }
    }
}

/// Brings the schema up to date and gives the service's role its rights, where an owner is given. Otherwise `db`, the service's own
/// connection, does it, unless there is nothing to do.
pub async fn bring_up_to_date(db: &DatabaseConnection, config: &DatabaseConfig) -> Result<(), SchemaError> {
    if config.owner_connection_url().is_some() {
        return migrate(config).await;
    }
    let not_owner = |source| SchemaError::NotOwner {
        role: config.service_role(),
        source,
    };
    match vpnmanager_migration::standing_of(db).await {
        Ok(Standing::UpToDate) => return Ok(()),
        Ok(Standing::Older) => {}
        Ok(Standing::Newer { migration }) => return Err(SchemaError::Newer { migration }),
        Err(error) if is_denied(&error) => return Err(not_owner(error)),
        Err(error) => return Err(migrating_failed(error)),
    }
    match vpnmanager_migration::run(db).await {
        Ok(()) => Ok(()),
        Err(error) if is_denied(&error) => Err(not_owner(error)),
        Err(error) => Err(migrating_failed(error)),
    }
}

fn migrating_failed(source: DbErr) -> SchemaError {
    match pooler::advice(&source) {
        Some(advice) => SchemaError::Pooler { advice, source },
        None => SchemaError::Migrate(source),
    }
}

/// Brings the schema up to date as the role that owns the tables, and gives the service's role its rights where that is another one.
pub async fn migrate(config: &DatabaseConfig) -> Result<(), SchemaError> {
    let owner = connect_as_owner(config).await?;
    let done = migrate_on(&owner, config).await;
    // If closing fails, the server ends the connection.
    let _closed = owner.close().await;
    done
}

async fn migrate_on(owner: &DatabaseConnection, config: &DatabaseConfig) -> Result<(), SchemaError> {
    match vpnmanager_migration::standing_of(owner).await {
        // One that is up to date too: the service's role may lack rights.
        Ok(Standing::UpToDate | Standing::Older) => {}
        Ok(Standing::Newer { migration }) => return Err(SchemaError::Newer { migration }),
        Err(error) => return Err(migrating_failed(error)),
    }
    if config.owner_connection_url().is_none() {
        return vpnmanager_migration::run(owner).await.map_err(migrating_failed);
    }
    let role = config.service_role();
    match vpnmanager_migration::run_for(owner, &role).await {
        Ok(()) => Ok(()),
        Err(OwnerError::Migrate(source)) => Err(migrating_failed(source)),
        Err(OwnerError::Grant(source)) => Err(SchemaError::Grant { role, source }),
    }
}

/// One connection of the role that owns the tables, which is the service's where no other is given. It has not the service's limit for a
/// statement: a migration takes as long as it takes.
pub async fn connect_as_owner(config: &DatabaseConfig) -> Result<DatabaseConnection, SchemaError> {
    connect(config, url_of_owner(config)).await
}

/// One connection of the service's role, for a command that does what the service does. The database must have the schema of this release.
pub async fn connect_as_service(config: &DatabaseConfig) -> Result<DatabaseConnection, SchemaError> {
    let db = connect(config, config.connection_url()).await?;
    match vpnmanager_migration::standing_of(&db).await {
        Ok(Standing::UpToDate) => Ok(db),
        Ok(Standing::Older) => Err(SchemaError::Older),
        Ok(Standing::Newer { migration }) => Err(SchemaError::Newer { migration }),
        Err(error) => Err(migrating_failed(error)),
    }
}

/// One connection of the service's role to the database as it is, for who only looks.
pub(crate) async fn connect_to_look(config: &DatabaseConfig) -> Result<DatabaseConnection, SchemaError> {
    connect(config, config.connection_url()).await
}

async fn connect(config: &DatabaseConfig, url: SecretString) -> Result<DatabaseConnection, SchemaError> {
    let reach = reach_of(config, &url)?;
    let failed = |source| connecting_failed(config, source, reach.place());
    // The pool would say only that its time was over.
    reach.connect(PATIENCE).await.map_err(failed)?;
    let mut options = ConnectOptions::new(url.expose_secret());
    options
        .max_connections(1)
        .acquire_timeout(PATIENCE)
        .connect_timeout(PATIENCE)
        .sqlx_logging(false);
    Database::connect(options).await.map_err(failed)
}

/// The same outside a pool, for who streams the rows of whole tables.
pub async fn open_as_owner(config: &DatabaseConfig) -> Result<PgConnection, SchemaError> {
    let reach = reach_of(config, &url_of_owner(config))?;
    let opened = reach.open(PATIENCE).await;
    opened.map_err(|source| connecting_failed(config, source, reach.place()))
}

fn url_of_owner(config: &DatabaseConfig) -> SecretString {
    let url = config.owner_connection_url();
    url.unwrap_or_else(|| config.connection_url())
}

fn reach_of(config: &DatabaseConfig, url: &SecretString) -> Result<Reach, SchemaError> {
    Reach::to(url).map_err(|source| connecting_failed(config, source, "no place"))
}

fn connecting_failed(config: &DatabaseConfig, source: DbErr, place: &str) -> SchemaError {
    match pooler::advice(&source) {
        Some(advice) => SchemaError::Pooler { advice, source },
        None => SchemaError::Connect {
            said: config.connecting_failed(&source),
            place: place.to_owned(),
            source,
        },
    }
}

fn is_denied(error: &DbErr) -> bool {
    meaning(error) == Meaning::NotAllowed
}

#[derive(FromQueryResult)]
struct Powers {
    role: String,
    is_superuser: bool,
    owns_trail: bool,
    owns_schema: bool,
    makes_functions: bool,
    makes_roles: bool,
    may_rewrite: bool,
}

/// What makes the role of this connection able to rewrite the audit trail, and the name of the role.
pub async fn powers_over_the_trail(db: &DatabaseConnection) -> Result<(String, Vec<&'static str>), DbErr> {
    let statement = Statement::from_string(
        db.get_database_backend(),
        "SELECT current_user::text AS role, r.rolsuper AS is_superuser, r.rolcreaterole AS makes_roles,
                bool_or(pg_has_role(part.relowner, 'MEMBER')) AS owns_trail,
                bool_or(pg_has_role(space.nspowner, 'MEMBER') OR pg_has_role(base.datdba, 'MEMBER')) AS owns_schema,
                bool_or(has_schema_privilege(space.oid, 'CREATE')) AS makes_functions,
                bool_or(has_table_privilege(part.oid, 'UPDATE, DELETE, TRUNCATE, TRIGGER')) AS may_rewrite
         FROM pg_partition_tree('audit_log') tree JOIN pg_class part ON part.oid = tree.relid
         JOIN pg_namespace space ON space.oid = part.relnamespace, pg_roles r, pg_database base
         WHERE r.rolname = current_user AND base.datname = current_database() GROUP BY r.rolsuper, r.rolcreaterole",
    );
    let powers = Powers::find_by_statement(statement).one(db).await?;
    let powers = powers.ok_or_else(|| DbErr::RecordNotFound("this role".to_owned()))?;
    let reasons = [
        (powers.is_superuser, "it is a superuser"),
        (
            powers.owns_trail,
            "it owns audit_log or a partition of it, or is a member of the owner",
        ),
        (
            powers.owns_schema,
            "it owns the schema or the database, or is a member of the owner",
        ),
        // One that takes the place of a function of PostgreSQL runs with the rights of the owner in audit_log_make_partitions.
        (powers.makes_functions, "it may make functions in the schema"),
        (
            powers.may_rewrite,
            "it may change or empty audit_log or a partition of it",
        ),
        (powers.makes_roles, "it may make roles"),
    ];
    let reasons = reasons.iter().filter(|(is_so, _)| *is_so).map(|(_, why)| *why);
    Ok((powers.role, reasons.collect()))
}

/// Warns if the service's role could rewrite the audit trail: everybody who takes over this process could.
pub async fn warn_of_powers(db: &DatabaseConnection) -> Result<(), DbErr> {
    let (role, reasons) = powers_over_the_trail(db).await?;
    if reasons.is_empty() {
        info!(
            database.role = role,
            "The role of this service cannot rewrite the audit trail"
        );
    } else {
        warn!(
            database.role = role,
            reasons = reasons.join(", "),
            "The role of this service could rewrite the audit trail: docs/deployment.md says how to give it a role that owns nothing"
        );
    }
    Ok(())
}
