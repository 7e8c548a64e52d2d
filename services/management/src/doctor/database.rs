//! PostgreSQL: whether it takes connections, what it is, and what the role of the service may do there.

use std::{net::IpAddr, time::Duration};

use sea_orm::{DatabaseConnection, DbErr, FromQueryResult, Statement};
use vpnmanager_migration::{Standing, standing_of};
use vpnmanager_runtime::{
    doctor::{Check, Seen, Trouble, host_names::host_and_port},
    error_chain::chain,
};

use crate::{config::Config, ops::restoration::mark::undecided, reach::Reach, schema};

pub(super) const DATABASE: Check = Check::new("database", "PostgreSQL takes connections of the service's role")
    .after(&["configuration"])
    .within(Duration::from_secs(12));
pub(super) const VERSION: Check =
    Check::new("database-version", "PostgreSQL is new enough and takes changes").after(&["database"]);
pub(super) const SCHEMA: Check =
    Check::new("database-schema", "The database has the schema of this release").after(&["database"]);
pub(super) const RIGHTS: Check = Check::new(
    "database-rights",
    "The role of the service may do what it must, and no more",
)
.after(&["database-schema"]);

/// The oldest PostgreSQL that is taken: older ones get no more fixes.
const OLDEST: i32 = 13;

/// Connects as the service does.
pub(super) async fn connect(config: &Config) -> Seen<DatabaseConnection> {
    let database = &config.database;
    let role = database.service_role();
    let place = match Reach::to(&database.connection_url()) {
        Ok(reach) => reach.place().to_owned(),
        Err(_no_url) => "no place".to_owned(),
    };
    match schema::connect_to_look(database).await {
        Ok(db) => Seen::fine(
            format!("PostgreSQL at {place} takes connections of the role {role}"),
            db,
        ),
        Err(error) => {
            let why = chain(&error).to_string();
            let mend = mend_connection(&why, &place, &role);
            Seen::failed(Trouble::new(
                format!("PostgreSQL at {place} takes no connection"),
                why,
                mend,
            ))
        }
    }
}

fn mend_connection(why: &str, place: &str, role: &str) -> String {
    if why.contains("password authentication failed") {
        format!("sudo -u postgres psql -c '\\password {role}'")
    } else if why.contains("does not exist") {
        "sudo -u postgres psql --list".to_owned()
    } else if why.contains("pg_hba.conf") {
        "sudo -u postgres psql -c 'TABLE pg_hba_file_rules'".to_owned()
    } else {
        mend_silence(place)
    }
}

/// The PostgreSQL of another machine is not mended by restarting one of this machine.
fn mend_silence(place: &str) -> String {
    let elsewhere = host_and_port(place).filter(|(host, _)| match host.parse::<IpAddr>() {
        Ok(address) => !address.is_loopback(),
        Err(_) => host != "localhost",
    });
    match elsewhere {
        Some((host, port)) => format!("pg_isready -h {host} -p {port}"),
        None => "systemctl restart postgresql; journalctl -u 'postgresql*' -n 50".to_owned(),
    }
}

#[derive(FromQueryResult)]
struct Server {
    number: i32,
    name: String,
    is_standby: bool,
}

/// Looks at the version, and whether it is a primary.
pub(super) async fn version(db: &DatabaseConnection) -> Seen {
    let statement = Statement::from_string(
        db.get_database_backend(),
        "SELECT current_setting('server_version_num')::int AS number, current_setting('server_version') AS name,
                pg_is_in_recovery() AS is_standby",
    );
    let server = match Server::find_by_statement(statement).one(db).await {
        Ok(Some(server)) => server,
        Ok(None) => return Seen::skipped("PostgreSQL does not say what it is"),
        Err(error) => return unreadable(&error),
    };
    judge(&server)
}

fn judge(server: &Server) -> Seen {
    let Server { name, .. } = server;
    if server.number / 10_000 < OLDEST {
        return Seen::failed(Trouble::new(
            format!("PostgreSQL {name} is too old"),
            format!("{OLDEST} or newer is needed"),
            "pg_upgradecluster --help",
        ));
    }
    if server.is_standby {
        return Seen::failed(Trouble::new(
            format!("PostgreSQL {name} there is a standby"),
            "it takes no changes: the settings must lead to the primary",
            "psql -c 'SELECT * FROM pg_stat_wal_receiver'",
        ));
    }
    Seen::fine(format!("PostgreSQL {name}"), ())
}

/// Looks at the migrations, and whether a restored backup waits for a decision.
pub(super) async fn schema(db: &DatabaseConnection) -> Seen {
    let (found, why, mend) = match standing_of(db).await {
        Ok(Standing::UpToDate) => return decided(db).await,
        Ok(Standing::Older) => (
            "the database has not the schema of this release".to_owned(),
            "the service brings it up to date when it starts, if its role owns the tables",
            "vpnmanager-management migrate",
        ),
        Ok(Standing::Newer { migration }) => (
            format!("the database is of a newer release: it has the migration {migration}"),
            "this release does not know it and does not start with it",
            "apt-get install --only-upgrade vpnmanager-management",
        ),
        Err(error) => return unreadable(&error),
    };
    Seen::failed(Trouble::new(found, why, mend))
}

async fn decided(db: &DatabaseConnection) -> Seen {
    match undecided(db).await {
        Ok(None) => Seen::fine("the schema is that of this release", ()),
        Ok(Some(mark)) => Seen::failed(Trouble::new(
            format!("the database was restored from {}", mark.source_file),
            "management does nothing before somebody decides what holds",
            "vpnmanager-management restore-review",
        )),
        Err(error) => unreadable(&error),
    }
}

#[derive(FromQueryResult)]
struct Rights {
    base: String,
    lacking: Option<String>,
    records: bool,
    unguarded: Option<String>,
}

/// Looks at the rights of the role, and at what guards the audit trail.
pub(super) async fn rights(db: &DatabaseConnection) -> Seen {
    let statement = Statement::from_string(
        db.get_database_backend(),
        "SELECT current_database()::text AS base,
                (SELECT string_agg(c.relname::text, ', ' ORDER BY c.relname) FROM pg_class c
                 WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
                   AND c.relname NOT IN ('audit_log', 'audit_chains', 'audit_checkpoints', 'seaql_migrations')
                   AND NOT (has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')
                            AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE'))) AS lacking,
                has_table_privilege('audit_log', 'SELECT') AND has_any_column_privilege('audit_log', 'INSERT')
                AND has_table_privilege('audit_chains', 'SELECT') AND has_table_privilege('audit_checkpoints', 'SELECT')
                AND has_table_privilege('audit_checkpoints', 'INSERT') AS records,
                (SELECT tree.relid::text FROM pg_partition_tree('audit_log') tree
                 WHERE 2 > (SELECT count(*) FROM pg_trigger t WHERE t.tgrelid = tree.relid AND t.tgenabled IN ('O', 'A')
                            AND t.tgname IN ('audit_log_append_only', 'audit_log_not_truncated'))
                 ORDER BY tree.level, tree.relid::text LIMIT 1) AS unguarded",
    );
    let rights = match Rights::find_by_statement(statement).one(db).await {
        Ok(Some(rights)) => rights,
        Ok(None) => return Seen::skipped("PostgreSQL does not say what this role may do"),
        Err(error) => return unreadable(&error),
    };
    let Rights { base, lacking, .. } = &rights;
    let lacking = lacking.as_deref().or((!rights.records).then_some("audit_log"));
    if let Some(tables) = lacking {
        return Seen::failed(Trouble::new(
            format!("the role of the service lacks rights on {tables}"),
            "what it may not read or write it cannot do",
            "vpnmanager-management migrate",
        ));
    }
    // Each month has a table of its own, whose triggers can be off alone.
    if let Some(table) = &rights.unguarded {
        return Seen::failed(Trouble::new(
            format!("nothing keeps the audit trail from being changed: a trigger of {table} is off or gone"),
            "entries could be changed or deleted without a trace",
            format!("sudo -u postgres psql -d {base} -c 'ALTER TABLE {table} ENABLE TRIGGER ALL'"),
        ));
    }
    match schema::powers_over_the_trail(db).await {
        Ok((role, reasons)) if reasons.is_empty() => Seen::fine(
            format!("the role {role} has what it needs, and cannot rewrite the audit trail"),
            (),
        ),
        Ok((role, reasons)) => Seen::warning(
            Trouble::new(
                format!("the role {role} could rewrite the audit trail"),
                reasons.join(", "),
                "less /usr/share/doc/vpnmanager-management/README.Debian",
            ),
            (),
        ),
        Err(error) => unreadable(&error),
    }
}

/// What is said of a question that PostgreSQL does not answer.
pub(super) fn unreadable<T>(error: &DbErr) -> Seen<T> {
    Seen::failed(Trouble::new(
        "PostgreSQL does not answer the question",
        chain(error).to_string(),
        "journalctl -u 'postgresql*' -n 50",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(number: i32, is_standby: bool) -> String {
        let server = Server {
            number,
            name: "x".to_owned(),
            is_standby,
        };
        format!("{:?}", judge(&server))
    }

    #[test]
    fn what_is_on_another_machine_is_not_restarted_here() {
        let mend = |why, place| mend_connection(why, place, "vpn");
        for here in [
            "127.0.0.1:5432",
            "[::1]:5432",
            "localhost:5432",
            "/run/postgresql (port 5432)",
        ] {
            let said = mend("Connection refused", here);
            assert!(said.starts_with("systemctl restart postgresql"), "{here}: {said}");
        }
        let refused = |place| mend("Connection refused", place);
        assert_eq!(refused("db.example.org:6432"), "pg_isready -h db.example.org -p 6432");
        assert_eq!(refused("[2001:db8::1]:5432"), "pg_isready -h 2001:db8::1 -p 5432");
        let password = mend("password authentication failed for user \"vpn\"", "db.example.org:5432");
        assert_eq!(password, "sudo -u postgres psql -c '\\password vpn'");
        let rules = mend("no pg_hba.conf entry for host \"192.0.2.7\"", "db.example.org:5432");
        assert!(rules.contains("pg_hba_file_rules"), "{rules}");
    }

    #[test]
    fn an_old_server_and_a_standby_are_told() {
        assert!(said(120_022, false).contains("is too old"));
        assert!(said(150_018, true).contains("is a standby"));
        assert!(said(150_018, false).contains("Fine"));
    }
}
