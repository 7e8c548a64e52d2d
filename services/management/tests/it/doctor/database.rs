//! What can be wrong with PostgreSQL.

use vpnmanager_testbed::{ports, postgres};

use super::site::Site;
use crate::database::{connect, fresh_database, run};

const OF_DATABASE: [&str; 5] = [
    "database-version",
    "database-schema",
    "database-rights",
    "clock",
    "nodes",
];

#[tokio::test]
async fn a_database_that_takes_no_connection_is_told_with_the_cause() {
    let site = Site::start().await;
    let port = ports::free().expect("a port");
    let away = format!("postgres://vpnmanager@127.0.0.1:{port}/d?sslmode=disable");
    let cluster = postgres::shared().await.expect("PostgreSQL");
    let stranger = cluster.url("postgres").replace("//vpnmanager@", "//stranger@");
    for (url, why, mend) in [
        (away, "Connection refused", "systemctl restart postgresql"),
        (cluster.url("nowhere"), "\"nowhere\" does not exist", "psql --list"),
        (stranger, "\"stranger\" does not exist", "psql --list"),
    ] {
        let examined = site.examine(&[("DATABASE_URL", &url)]).await;
        let failed = examined.fails_alone("database");
        let said = |member: &str| failed[member].as_str().expect("text").to_owned();
        assert!(said("why").contains(why) && said("mend").contains(mend), "{failed:#}");
        examined.skips(&OF_DATABASE, "the check database");
    }
}

#[tokio::test]
async fn a_database_without_the_schema_is_told_with_the_command_that_makes_it() {
    let site = Site::start().await;
    let cluster = postgres::shared().await.expect("PostgreSQL");
    let name = format!("bare_{}", uuid::Uuid::now_v7().simple());
    let bare = cluster.create_database(&name).await.expect("a database");
    let examined = site.examine(&[("DATABASE_URL", &bare)]).await;
    assert_eq!(
        examined.fails_alone("database-schema")["mend"],
        "vpnmanager-management migrate"
    );
    examined.skips(
        &["database-rights", "fleet", "nodes"],
        "the check database-schema failed",
    );
    cluster.drop_database(&name).await.expect("dropped");
}

#[tokio::test]
async fn an_audit_trail_that_nothing_guards_is_told() {
    let site = Site::start().await;
    let db = connect(&site.database).await;
    run(&db, "ALTER TABLE audit_log DISABLE TRIGGER audit_log_append_only").await;
    let examined = site.examine(&[]).await;
    let failed = examined.fails_alone("database-rights");
    let mend = failed["mend"].as_str().expect("a command");
    assert!(mend.ends_with("'ALTER TABLE audit_log ENABLE TRIGGER ALL'"), "{mend}");
    // What it says mends it.
    run(&db, "ALTER TABLE audit_log ENABLE TRIGGER ALL").await;
    assert_eq!(site.examine(&[]).await.code, Some(0));

    // Each month has a table of its own.
    run(
        &db,
        "ALTER TABLE audit_log_default DISABLE TRIGGER audit_log_append_only",
    )
    .await;
    let examined = site.examine(&[]).await;
    let failed = examined.fails_alone("database-rights");
    let mend = failed["mend"].as_str().expect("a command");
    assert!(
        mend.ends_with("'ALTER TABLE audit_log_default ENABLE TRIGGER ALL'"),
        "{mend}"
    );
}

#[tokio::test]
async fn a_role_that_may_not_write_is_told_which_tables() {
    let site = Site::start().await;
    let db = connect(&site.database).await;
    let role = format!("poor_{}", uuid::Uuid::now_v7().simple());
    run(&db, &format!("CREATE ROLE {role} LOGIN")).await;
    run(&db, &format!("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")).await;
    let url = site.database.replace("//vpnmanager@", &format!("//{role}@"));
    assert_ne!(url, site.database);
    let examined = site.examine(&[("DATABASE_URL", &url)]).await;
    let found = examined.fails_alone("database-rights")["found"]
        .as_str()
        .expect("text")
        .to_owned();
    assert!(found.contains("users") && found.contains("servers"), "{found}");
}

#[tokio::test]
async fn a_clock_that_is_off_is_told() {
    let site = Site::start().await;
    let url = fresh_database().await;
    let db = connect(&url).await;
    run(
        &db,
        "CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
         AS $$ SELECT pg_catalog.clock_timestamp() + interval '1 hour' $$",
    )
    .await;
    // Only names that are looked for there first are replaced.
    run(
        &db,
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = public, pg_catalog', current_database()); END $$",
    )
    .await;
    let examined = site.examine(&[("DATABASE_URL", &url)]).await;
    let failed = examined.fails_alone("clock");
    assert!(
        failed["found"]
            .as_str()
            .expect("text")
            .contains("ms behind that of PostgreSQL"),
        "{failed:#}"
    );
    assert_eq!(failed["mend"], "timedatectl set-ntp true || apt-get install chrony");
}
