//! Which release's schema the database has, and what its roles may do: the owner of the tables, and a service that owns nothing.

use sea_orm_migration::sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, FromQueryResult, Statement,
};

use crate::migrations::MIGRATIONS;

/// The columns of the audit trail that the service may write. Not `id` and `timestamp`, nor its place in a chain: PostgreSQL numbers, dates and chains
/// each entry.
const WRITABLE: &str =
    "action, username, details, ip_address, server_id, actor, request_id, before, after, event_id, reported_at";

#[derive(FromQueryResult)]
struct Name {
    name: String,
}

async fn names(db: &impl ConnectionTrait, sql: &str) -> Result<Vec<String>, DbErr> {
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let names = Name::find_by_statement(statement).all(db).await?;
    Ok(names.into_iter().map(|row| row.name).collect())
}

/// What the schema of a database is, seen from this release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It lacks a migration of this release.
    Older,
    /// It has exactly this release's migrations.
    UpToDate,
    /// It has one that this release does not know: there is no way down.
    Newer {
        /// The last of those.
        migration: String,
    },
}

/// The standing of a database. Needs no more than to read, so that a role that owns nothing can ask.
///
/// # Errors
/// The database does not answer, or the role may not read the list of migrations.
pub async fn standing_of(db: &DatabaseConnection) -> Result<Standing, DbErr> {
    let is_there =
        "SELECT to_regclass('seaql_migrations')::text AS name WHERE to_regclass('seaql_migrations') IS NOT NULL";
    if names(db, is_there).await?.is_empty() {
        return Ok(Standing::Older);
    }
    Ok(standing(
        names(db, "SELECT version AS name FROM seaql_migrations").await?,
    ))
}

fn standing(applied: Vec<String>) -> Standing {
    let has_all = MIGRATIONS
        .iter()
        .all(|known| applied.iter().any(|name| name == known.name));
    let is_unknown = |name: &String| MIGRATIONS.iter().all(|known| name != known.name);
    match applied.into_iter().filter(is_unknown).max() {
        Some(migration) => Standing::Newer { migration },
        None if has_all => Standing::UpToDate,
        None => Standing::Older,
    }
}

/// Gives the role of the service what it needs, and no more: it reads all tables, adds to the audit trail and its checkpoints, and changes the others. To be
/// called as the owner of the tables; calling it again changes nothing. Two who change the rights of one table at once fail: the lock of the
/// migrations keeps them apart.
pub(crate) async fn grant(owner: &DatabaseTransaction, service: &str) -> Result<(), DbErr> {
    let owned = "SELECT format('%I', relname) AS name FROM pg_class
                 WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') AND pg_has_role(relowner, 'USAGE')";
    let all = names(owner, owned).await?.join(", ");
    let changed = format!(
        "{owned} AND NOT relispartition
         AND relname NOT IN ('audit_log', 'audit_chains', 'audit_checkpoints', 'seaql_migrations')"
    );
    let changed = names(owner, &changed).await?.join(", ");
    let schema = names(owner, "SELECT format('%I', current_schema()) AS name")
        .await?
        .remove(0);
    let role = format!("\"{}\"", service.replace('"', "\"\""));
    // REVOKE first: an earlier release, or a person, may have given more, also on partitions of the trail.
    let grants = format!(
        "GRANT USAGE ON SCHEMA {schema} TO {role};
         REVOKE ALL ON {all} FROM {role};
         GRANT SELECT ON seaql_migrations, audit_log, audit_chains, audit_checkpoints TO {role};
         GRANT INSERT ON audit_checkpoints TO {role};
         GRANT INSERT ({WRITABLE}) ON audit_log TO {role};
         GRANT SELECT, INSERT, UPDATE, DELETE ON {changed} TO {role};
         GRANT EXECUTE ON FUNCTION audit_log_partitions(), audit_log_make_partitions(integer) TO {role};"
    );
    owner.execute_unprepared(&grants).await.map(drop)
}
