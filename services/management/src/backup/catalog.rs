//! What a database holds: its tables with their columns, in an order in which they can be filled.

use std::collections::BTreeSet;

use sea_orm::sqlx::{self, AssertSqlSafe, PgConnection, Postgres};
use serde::{Deserialize, Serialize};
use vpnmanager_migration::history;

/// The list of applied migrations.
pub(super) const MIGRATIONS: &str = "seaql_migrations";

/// A table, or one that is divided into partitions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Table {
    /// Its name.
    pub(super) name: String,
    /// Its columns, in their order.
    pub(super) columns: Vec<String>,
    /// The columns that the database numbers, with the last number that it gave (0: none), where the role may know it.
    pub(super) counters: Vec<(String, Option<i64>)>,
}

impl Table {
    /// The columns, as SQL.
    pub(super) fn columns_sql(&self) -> String {
        let quoted = self.columns.iter().map(|column| identifier(column));
        quoted.collect::<Vec<_>>().join(", ")
    }
}

/// A name as SQL writes it.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Whether a migration made the table, in the one way in which migrations write it. Who keeps other tables in the same schema saves them by other
/// means.
fn is_ours(table: &str) -> bool {
    let statement = format!("CREATE TABLE {table} (");
    history().any(|step| step.sql.contains(&statement))
}

/// The names of the tables of the schema, whoever made them.
pub(super) async fn names(db: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar::<Postgres, String>(
        "SELECT relname::text FROM pg_class
         WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY 1",
    )
    .fetch_all(db)
    .await
}

/// The migrations that were applied, in their order.
pub(super) async fn applied_migrations(db: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    let select = format!("SELECT version FROM {MIGRATIONS} ORDER BY version");
    let applied = sqlx::query_scalar::<Postgres, String>(AssertSqlSafe(select));
    applied.fetch_all(db).await
}

/// Our tables but the list of migrations, each after those that it refers to.
pub(super) async fn tables(db: &mut PgConnection) -> Result<Vec<Table>, sqlx::Error> {
    let mut tables = Vec::new();
    let mut ours = names(db).await?;
    ours.retain(|name| is_ours(name));
    for name in in_order(ours, &references(db).await?) {
        let columns = sqlx::query_scalar::<Postgres, String>(
            "SELECT attname::text FROM pg_attribute
             WHERE attrelid = quote_ident($1)::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum",
        );
        let columns = columns.bind(&name).fetch_all(&mut *db).await?;
        // Who may only use the table does not see how far it is numbered. 0: not at all.
        let counters = sqlx::query_as::<Postgres, (String, Option<i64>)>(
            "SELECT a.attname::text, CASE WHEN has_sequence_privilege(n.sequence, 'SELECT, USAGE') THEN COALESCE(s.last_value, 0) END
             FROM pg_attribute a
             CROSS JOIN LATERAL (SELECT pg_get_serial_sequence(quote_ident($1), a.attname) AS sequence) n
             LEFT JOIN pg_sequences s ON format('%I.%I', s.schemaname, s.sequencename) = n.sequence
             WHERE a.attrelid = quote_ident($1)::regclass AND a.attidentity <> '' ORDER BY a.attnum",
        );
        let counters = counters.bind(&name).fetch_all(&mut *db).await?;
        tables.push(Table {
            name,
            columns,
            counters,
        });
    }
    Ok(tables)
}

/// Which table refers to which other one.
async fn references(db: &mut PgConnection) -> Result<BTreeSet<(String, String)>, sqlx::Error> {
    let pairs = sqlx::query_as::<Postgres, (String, String)>(
        "SELECT DISTINCT one.relname::text, other.relname::text FROM pg_constraint link
         JOIN pg_class one ON one.oid = link.conrelid JOIN pg_class other ON other.oid = link.confrelid
         WHERE link.contype = 'f' AND link.connamespace = current_schema()::regnamespace AND one.oid <> other.oid",
    )
    .fetch_all(db)
    .await?;
    Ok(pairs.into_iter().collect())
}

/// The names, each after those that it refers to. Those of a circle come last.
fn in_order(mut names: Vec<String>, references: &BTreeSet<(String, String)>) -> Vec<String> {
    let mut ordered: Vec<String> = Vec::with_capacity(names.len());
    loop {
        let (ready, waiting): (Vec<String>, Vec<String>) = names.into_iter().partition(|name| {
            let mut others = references.iter().filter(|(from, _)| from == name);
            others.all(|(_, to)| ordered.contains(to))
        });
        if ready.is_empty() {
            ordered.extend(waiting);
            return ordered;
        }
        ordered.extend(ready);
        names = waiting;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_comes_after_those_that_it_refers_to() {
        let names = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
        let pairs = [("a", "b"), ("b", "d"), ("a", "c")];
        let references = pairs.map(|(from, to)| (from.to_owned(), to.to_owned())).into();
        assert_eq!(in_order(names, &references), ["c", "d", "b", "a"]);
    }

    #[test]
    fn tables_in_a_circle_are_not_forgotten() {
        let names = ["a", "b", "c"].map(str::to_owned).to_vec();
        let references = [("a", "b"), ("b", "a")]
            .map(|(from, to)| (from.to_owned(), to.to_owned()))
            .into();
        assert_eq!(in_order(names, &references), ["c", "a", "b"]);
    }

    #[test]
    fn the_tables_of_migrations_are_ours_and_no_others() {
        for table in ["users", "placements", "audit_log", "restorations"] {
            assert!(is_ours(table), "{table}");
        }
        for table in ["user", "audit_log_default", "notes_of_the_operator", MIGRATIONS] {
            assert!(!is_ours(table), "{table}");
        }
    }

    #[test]
    fn a_name_cannot_end_a_statement() {
        assert_eq!(
            identifier("a\"; DROP TABLE users; --"),
            "\"a\"\"; DROP TABLE users; --\""
        );
    }
}
