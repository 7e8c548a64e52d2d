//! Fills an empty database with the rows of a backup, in one transaction.

use sea_orm::sqlx::{self, AssertSqlSafe, Postgres, Transaction};
use tokio::sync::mpsc::Receiver;
use vpnmanager_migration::{history, lock_statement};

use super::{
    catalog::{self, MIGRATIONS, Table, identifier},
    dump::UNLIMITED,
    manifest::{Heading, part_of, part_of_table},
    unpack::Entry,
};

/// The trail: its rows go to the partitions of their months, and nothing may empty it.
const TRAIL: &str = "audit_log";
/// How many months the trail is prepared for, as housekeeping does it.
const MONTHS_AHEAD: i32 = 3;
/// So many numbers are left out where the backup does not say which was the last: one that was given and deleted is not given again.
const GAP: i64 = 1_000_000;
/// Tables that are named in an error.
const NAMED: usize = 5;

/// Why the rows could not be loaded. The database is as it was.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// There is something in it.
    #[error(
        "the database is not empty, it holds {found}: a backup is restored into an empty one, such as `createdb` makes it"
    )]
    NotEmpty {
        /// Some of its tables.
        found: String,
    },
    /// A later release made the backup.
    #[error(
        "the backup is of a newer release (migration {migration} is unknown here): restore it with that release, which is {version}, or a \
         later one"
    )]
    Newer {
        /// The first migration that this release does not know.
        migration: String,
        /// The release that made it.
        version: String,
    },
    /// Its tables are not those that its list of migrations makes.
    #[error("the backup has rows of {table}, which its migrations do not make so")]
    Table {
        /// The table.
        table: String,
    },
    /// PostgreSQL refused something.
    #[error("{doing} failed")]
    Database {
        /// What was done.
        doing: String,
        /// Why it failed.
        #[source]
        source: sqlx::Error,
    },
}

fn failed(doing: impl Into<String>) -> impl FnOnce(sqlx::Error) -> LoadError {
    let doing = doing.into();
    move |source| LoadError::Database { doing, source }
}

/// The first migration of a backup that this release does not know.
pub(super) fn check_schema(heading: &Heading) -> Result<(), LoadError> {
    let is_unknown = |name: &&String| history().all(|step| step.name != name.as_str());
    match heading.migrations.iter().find(is_unknown) {
        Some(migration) => Err(LoadError::Newer {
            migration: migration.clone(),
            version: heading.version.clone(),
        }),
        None => Ok(()),
    }
}

/// Makes the tables as they were when the backup was made, empty. Nobody else migrates meanwhile.
pub(super) async fn prepare(db: &mut Transaction<'_, Postgres>, heading: &Heading) -> Result<(), LoadError> {
    let doing = "looking at the database";
    run(db, UNLIMITED).await.map_err(failed(doing))?;
    run(db, lock_statement()).await.map_err(failed(doing))?;
    let names = catalog::names(db).await.map_err(failed(doing))?;
    if !names.is_empty() {
        let mut found = names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        if names.len() > NAMED {
            found.push_str(&format!(" and {} more tables", names.len() - NAMED));
        }
        return Err(LoadError::NotEmpty { found });
    }
    // As sea-orm-migration makes it.
    let list = format!("CREATE TABLE {MIGRATIONS} (version VARCHAR NOT NULL PRIMARY KEY, applied_at BIGINT NOT NULL)");
    run(db, list).await.map_err(failed("making the list of migrations"))?;
    migrate(db, |name| heading.migrations.iter().any(|known| known == name)).await?;
    let known = catalog::tables(db).await.map_err(failed("reading the tables"))?;
    for table in &heading.tables {
        if !fits(table, &known) {
            return Err(LoadError::Table {
                table: table.name.clone(),
            });
        }
    }
    let filled = heading.tables.iter().filter(|table| table.name != TRAIL);
    let filled: Vec<String> = filled.map(|table| identifier(&table.name)).collect();
    // What triggers would write is in the backup, and so is what migrations have put into tables.
    for table in &filled {
        let statement = format!("ALTER TABLE {table} DISABLE TRIGGER USER");
        run(db, statement).await.map_err(failed("preparing the tables"))?;
    }
    if !filled.is_empty() {
        let statement = format!("TRUNCATE {}", filled.join(", "));
        run(db, statement).await.map_err(failed("preparing the tables"))?;
    }
    Ok(())
}

/// Whether the rows of a table of the backup go into one of these.
fn fits(table: &Table, known: &[Table]) -> bool {
    let same = known.iter().find(|known| known.name == table.name);
    same.is_some_and(|same| {
        let has = |column: &String| same.columns.contains(column);
        table.columns.iter().all(has) && table.counters.iter().all(|(column, _last)| has(column))
    })
}

/// Writes the rows, and gives back the entries that hold none.
pub(super) async fn load(
    db: &mut Transaction<'_, Postgres>,
    heading: &Heading,
    entries: &mut Receiver<Entry>,
) -> Result<Vec<Entry>, LoadError> {
    let mut others = Vec::new();
    let mut next = entries.recv().await;
    while let Some(entry) = next {
        let (part, is_rows) = part_of(&entry.name);
        if !is_rows {
            others.push(entry);
            next = entries.recv().await;
            continue;
        }
        let part = part.to_owned();
        let table = heading.tables.iter().find(|table| part_of_table(&table.name) == part);
        let table = table.ok_or_else(|| LoadError::Table { table: part.clone() })?;
        let doing = || format!("writing the rows of {}", table.name);
        let statement = format!("COPY {} ({}) FROM STDIN", identifier(&table.name), table.columns_sql());
        let mut rows = db.copy_in_raw(&statement).await.map_err(failed(doing()))?;
        rows.send(entry.bytes).await.map_err(failed(doing()))?;
        next = loop {
            match entries.recv().await {
                Some(more) if part_of(&more.name).0 == part => {
                    rows.send(more.bytes).await.map_err(failed(doing()))?;
                }
                other => break other,
            }
        };
        rows.finish().await.map_err(failed(doing()))?;
    }
    Ok(others)
}

/// Brings what was loaded to the schema of this release.
pub(super) async fn complete(db: &mut Transaction<'_, Postgres>, heading: &Heading) -> Result<(), LoadError> {
    for table in &heading.tables {
        for (column, last) in &table.counters {
            go_on_counting(db, &table.name, column, *last).await?;
        }
        if table.name != TRAIL {
            let statement = format!("ALTER TABLE {} ENABLE TRIGGER USER", identifier(&table.name));
            run(db, statement).await.map_err(failed("finishing the tables"))?;
        }
    }
    migrate(db, |name| heading.migrations.iter().all(|known| known != name)).await?;
    // Old entries went into the partition for all else. A few months at a time.
    loop {
        let make = sqlx::query_scalar::<Postgres, i32>("SELECT audit_log_make_partitions($1)");
        let made = make.bind(MONTHS_AHEAD).fetch_one(&mut **db).await;
        if made.map_err(failed("dividing the audit trail into months"))? == 0 {
            return Ok(());
        }
    }
}

/// Applies those migrations, in their order.
async fn migrate(db: &mut Transaction<'_, Postgres>, wanted: impl Fn(&str) -> bool) -> Result<(), LoadError> {
    for step in history().filter(|step| wanted(step.name)) {
        let doing = || format!("the migration {}", step.name);
        run(db, step.sql).await.map_err(failed(doing()))?;
        let note =
            format!("INSERT INTO {MIGRATIONS} (version, applied_at) VALUES ($1, extract(epoch FROM now())::bigint)");
        let note = sqlx::query::<Postgres>(AssertSqlSafe(note)).bind(step.name);
        note.execute(&mut **db).await.map_err(failed(doing()))?;
    }
    Ok(())
}

/// The next number is one that was not given before.
async fn go_on_counting(
    db: &mut Transaction<'_, Postgres>,
    table: &str,
    column: &str,
    last: Option<i64>,
) -> Result<(), LoadError> {
    let doing = || format!("counting on in {table}");
    let select = format!("SELECT max({})::bigint FROM {}", identifier(column), identifier(table));
    let highest = sqlx::query_scalar::<Postgres, Option<i64>>(AssertSqlSafe(select));
    let highest = highest.fetch_one(&mut **db).await.map_err(failed(doing()))?;
    let highest = highest.unwrap_or_default();
    let last = last.unwrap_or(highest + GAP).max(highest);
    if last == 0 {
        return Ok(());
    }
    let set = sqlx::query::<Postgres>("SELECT setval(pg_get_serial_sequence(quote_ident($1), $2), $3)");
    let set = set.bind(table).bind(column).bind(last);
    set.execute(&mut **db).await.map(drop).map_err(failed(doing()))
}

async fn run(db: &mut Transaction<'_, Postgres>, sql: impl Into<String>) -> Result<(), sqlx::Error> {
    let sql: String = sql.into();
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut **db).await.map(drop)
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::*;

    fn table(name: &str, columns: &[&str]) -> Table {
        Table {
            name: name.to_owned(),
            columns: columns.iter().map(ToString::to_string).collect(),
            counters: Vec::new(),
        }
    }

    #[test]
    fn a_backup_of_a_later_release_is_told_by_its_migrations() {
        let known = history().next().expect("a migration").name;
        let heading = |migrations: &[&str]| Heading {
            format: 1,
            version: "9.0.0".to_owned(),
            made_at: Utc::now(),
            host: String::new(),
            server_id: String::new(),
            migrations: migrations.iter().map(ToString::to_string).collect(),
            tables: Vec::new(),
        };
        check_schema(&heading(&[known])).expect("known");
        let error = check_schema(&heading(&[known, "m99991231_000001_later"])).expect_err("newer");
        assert!(error.to_string().contains("m99991231_000001_later"), "{error}");
        assert!(error.to_string().contains("9.0.0"), "{error}");
    }

    #[test]
    fn rows_go_only_into_a_table_that_has_their_columns() {
        let known = [table("users", &["id", "username"])];
        assert!(fits(&table("users", &["username"]), &known));
        assert!(!fits(&table("users", &["password"]), &known));
        assert!(!fits(&table("pg_authid", &["rolname"]), &known));
    }
}
