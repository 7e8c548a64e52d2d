//! What is restored is what was saved, or nothing is.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use sea_orm::DatabaseConnection;
use vpnmanager_management::backup::{FolderError, LoadError, ReadError, RestoreError};
use vpnmanager_management::domain::audit_chain::{Begins, Signers, Trail};
use vpnmanager_management::ops::audit_chain::read_database::read_database;
use vpnmanager_migration::history;
use vpnmanager_testbed::wait;

use super::{Site, empty_database};
use crate::database::{connect, number, run};
use crate::trail::{entry_at, text};

const TABLES: &str = "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class
    WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
    AND relname NOT IN ('restorations', 'seaql_migrations')";

/// All rows of a table, hashed.
async fn rows(db: &DatabaseConnection, table: &str) -> String {
    let all = format!(
        "SELECT count(*) || ' ' || COALESCE(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM {table} t"
    );
    text(db, &all).await
}

async fn is_untouched(db: &DatabaseConnection, site: &Site) {
    let tables =
        "SELECT count(*) FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')";
    assert_eq!(number(db, tables).await, 0);
    assert!(!site.path("new").exists());
}

/// The names and contents of the files below a folder, but for the store of the bus and what nats-server of the test writes.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path());
    let mut files: Vec<(String, Vec<u8>)> = entries
        .filter(|path| path.is_file())
        .map(|path| {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, fs::read(&path).expect("read"))
        })
        .collect();
    files.sort();
    files
}

#[tokio::test]
async fn all_rows_and_keys_are_there_again_and_counting_goes_on() {
    let site = Site::start().await;
    site.stack.enrol("node-1").await;
    for name in ["alice", "bob", "carol"] {
        site.stack.create_user(name).await;
    }
    site.stack.end_tasks().await;
    let old = &site.stack.app.db;
    entry_at(old, "'2020-03-03 03:03:03.123456'", "user_created").await;
    run(
        old,
        "UPDATE users SET ovpn_path = E'a\\tb\\nc\\\\d' WHERE username = 'bob'",
    )
    .await;

    // A row that goes over several pieces.
    run(
        old,
        "INSERT INTO imports (id, server_id, source, sha256, actor, started_at, finished_at, report)
         VALUES (gen_random_uuid(), 'node-1', 'large', '00', 'test', now(), now(), jsonb_build_object('x', repeat('y', 9500000)))",
    )
    .await;

    let created = site.save().await.expect("saved");
    assert_eq!(created.manifest.rows_of("users"), 3);
    let mode = fs::metadata(site.file()).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let url = empty_database().await;
    let restored = site.restore(&url).await.expect("restored");
    assert_eq!(restored.manifest, created.manifest);

    let new = connect(&url).await;
    let tables = text(old, TABLES).await;
    assert_eq!(text(&new, TABLES).await, tables);
    for table in tables.split(' ').chain(["restorations"]) {
        let part = format!("database/{table}");
        assert!(
            created.manifest.parts.iter().any(|saved| saved.name == part),
            "{table} is not saved"
        );
    }
    // These grow with the trail.
    let compared = |table: &&str| !["audit_log", "audit_chains", "audit_checkpoints"].contains(table);
    for table in tables.split(' ').filter(compared) {
        assert_eq!(rows(&new, table).await, rows(old, table).await, "{table}");
    }
    // One entry more: that it was restored. The old one is in the partition of its month.
    let entries = "SELECT count(*) FROM audit_log";
    assert_eq!(number(&new, entries).await, number(old, entries).await + 1);
    assert_eq!(number(&new, "SELECT count(*) FROM audit_log_2020_03").await, 1);
    let told = "SELECT actor || ' ' || server_id FROM audit_log WHERE action = 'database_restored'";
    assert_eq!(text(&new, told).await, "command management-new");

    let mut trail = Trail::default();
    read_database(&new, &mut trail).await.expect("read");
    let signers = Signers::of_pem(site.stack.app.pki.ca_pem()).expect("a certificate");
    assert_eq!(
        trail.verify(&signers, Begins::First, None).findings,
        [],
        "the chains go on"
    );

    let disabled = "SELECT count(*) FROM pg_trigger WHERE tgenabled = 'D'";
    assert_eq!(number(&new, disabled).await, 0);
    let next = "SELECT nextval(pg_get_serial_sequence('users', 'id'))";
    assert_eq!(number(&new, next).await, number(old, next).await);
    assert_eq!(
        number(&new, "SELECT count(*) FROM restorations WHERE decided_at IS NULL").await,
        1
    );

    for (old, new) in [
        (&site.stack.config.pki.dir, "new/pki"),
        (&site.stack.config.bus.dir, "new/bus"),
    ] {
        let (old, new) = (files(old), files(&site.path(new)));
        for file in &new {
            assert!(old.contains(file), "{}", file.0);
        }
        assert!(!new.is_empty());
    }
    let key = site.path("new/pki/ca.key");
    assert_eq!(fs::metadata(key).expect("a key").permissions().mode() & 0o777, 0o600);
    let settings = fs::read_to_string(site.path("new/settings.json")).expect("settings");
    assert!(settings.contains("management-test"), "{settings}");
}

#[tokio::test]
async fn a_backup_of_an_older_schema_is_brought_to_this_one() {
    let site = Site::start().await;
    let url = empty_database().await;
    let old = connect(&url).await;
    run(
        &old,
        "CREATE TABLE seaql_migrations (version VARCHAR NOT NULL PRIMARY KEY, applied_at BIGINT NOT NULL)",
    )
    .await;
    let steps = history();
    let few = steps.len() - 3;
    for step in steps.take(few) {
        run(&old, step.sql).await;
        run(
            &old,
            &format!("INSERT INTO seaql_migrations VALUES ('{}', 0)", step.name),
        )
        .await;
    }
    run(
        &old,
        "INSERT INTO users (key, username, server_id, created_by) VALUES ('01910000-0000-7000-8000-00000000a11c', 'alice', 'gone', 'test')",
    )
    .await;
    let mut order = site.order();
    order.database = super::at(&order.database, &url);
    let created = vpnmanager_management::backup::create_backup(order)
        .await
        .expect("saved");
    assert_eq!(created.heading.migrations.len(), few);

    let url = empty_database().await;
    site.restore(&url).await.expect("restored");
    let new = connect(&url).await;
    let applied = i64::try_from(history().len()).expect("few");
    assert_eq!(number(&new, "SELECT count(*) FROM seaql_migrations").await, applied);
    assert_eq!(text(&new, "SELECT string_agg(username, ' ') FROM users").await, "alice");
    vpnmanager_migration::run(&new).await.expect("nothing is left to do");
}

#[tokio::test]
async fn a_database_that_holds_something_stays_as_it_is() {
    let site = Site::start().await;
    site.save().await.expect("saved");
    let url = empty_database().await;
    let db = connect(&url).await;
    run(&db, "CREATE TABLE notes (text TEXT)").await;
    let error = site.restore(&url).await.expect_err("refused");
    let RestoreError::Load(LoadError::NotEmpty { found }) = &error else {
        panic!("{error}")
    };
    assert_eq!(found, "notes");
    run(&db, "DROP TABLE notes").await;
    is_untouched(&db, &site).await;
}

#[tokio::test]
async fn folders_that_hold_something_stay_as_they_are() {
    let site = Site::start().await;
    site.save().await.expect("saved");
    let url = empty_database().await;
    let db = connect(&url).await;
    for (name, file) in [("new/pki", "ca.key"), ("new/bus", "NODES.jwt")] {
        fs::create_dir_all(site.path(name)).expect("made");
        fs::write(site.path(name).join(file), "precious").expect("written");
        let error = site.restore(&url).await.expect_err("refused");
        assert!(
            matches!(&error, RestoreError::Folder(FolderError::NotEmpty { found, .. }) if found == file),
            "{error}"
        );
        assert_eq!(fs::read(site.path(name).join(file)).expect("read"), b"precious");
        fs::remove_dir_all(site.path("new")).expect("removed");
    }
    fs::create_dir_all(site.path("new")).expect("made");
    fs::write(site.path("new/settings.json"), "precious").expect("written");
    let error = site.restore(&url).await.expect_err("refused");
    assert!(
        matches!(error, RestoreError::Folder(FolderError::Exists { .. })),
        "{error}"
    );
    fs::remove_dir_all(site.path("new")).expect("removed");
    is_untouched(&db, &site).await;
}

#[tokio::test]
async fn a_damaged_file_changes_nothing() {
    let site = Site::start().await;
    site.save().await.expect("saved");
    let sound = fs::read(site.file()).expect("read");
    let url = empty_database().await;
    let db = connect(&url).await;
    let (last, middle) = (sound.len() - 1, sound.len() / 2);
    let mut flipped = sound.clone();
    flipped[middle] ^= 1;
    for damaged in [&flipped[..], &sound[..last]] {
        fs::write(site.file(), damaged).expect("written");
        let error = site.restore(&url).await.expect_err("refused");
        assert!(
            matches!(error, RestoreError::Read(ReadError::Damaged { .. })),
            "{error}"
        );
        is_untouched(&db, &site).await;
    }
}

#[tokio::test]
async fn keys_that_cannot_be_written_leave_the_database_empty() {
    let site = Site::start().await;
    site.save().await.expect("saved");
    let url = empty_database().await;
    let db = connect(&url).await;
    let mut to = site.destination(&url);
    // A file is in the way of the folder.
    fs::write(site.path("taken"), "").expect("written");
    to.bus = site.path("taken/bus");
    let error = super::restore_file(&site.file(), &to).await.expect_err("refused");
    assert!(matches!(error, RestoreError::Folder(_)), "{error}");
    is_untouched(&db, &site).await;
}

#[tokio::test]
async fn an_existing_file_is_not_replaced_and_a_backup_that_fails_leaves_none() {
    let site = Site::start().await;
    fs::write(site.file(), "precious").expect("written");
    site.save().await.expect_err("refused");
    assert_eq!(fs::read(site.file()).expect("read"), b"precious");
    fs::remove_file(site.file()).expect("removed");

    let mut order = site.order();
    order.database = super::at(&order.database, &empty_database().await);
    let error = vpnmanager_management::backup::create_backup(order)
        .await
        .expect_err("refused");
    assert!(error.to_string().contains("seaql_migrations"), "{error}");
    let is_gone = async || fs::read_dir(site.folder.path()).expect("a folder").next().is_none();
    wait::until(wait::SOON, "the hidden file", is_gone).await.expect("gone");
}

#[tokio::test]
async fn a_hundred_thousand_users_are_saved_and_restored() {
    let site = Site::start().await;
    site.stack.end_tasks().await;
    run(
        &site.stack.app.db,
        "INSERT INTO users (key, username, server_id, created_by)
         SELECT gen_random_uuid(), 'user' || number, 'gone', 'test' FROM generate_series(1, 100000) AS t (number)",
    )
    .await;
    let created = site.save().await.expect("saved");
    assert_eq!(created.manifest.rows_of("users"), 100_000);
    let url = empty_database().await;
    site.restore(&url).await.expect("restored");
    let (old, new) = (&site.stack.app.db, connect(&url).await);
    assert_eq!(rows(&new, "users").await, rows(old, "users").await);
}
