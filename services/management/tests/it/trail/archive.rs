//! Months that are moved into files.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use chrono::{Datelike as _, NaiveDate, Utc};
use flate2::read::GzDecoder;
use sea_orm::{DatabaseConnection, TransactionTrait as _};
use serde_json::Value;
use tempfile::TempDir;
use vpnmanager_management::ops::{
    archive::{ArchiveError, Archived, Manifest, Order, archive_months},
    housekeeping::make_audit_partitions,
};

use super::{entries, entry_at, number, text, until};
use crate::database::{connect, fresh_database, run};

struct Site {
    url: String,
    db: DatabaseConnection,
    folder: TempDir,
}

impl Site {
    /// Entries in three months of 2020, and one of this month.
    async fn make() -> Self {
        let url = fresh_database().await;
        let db = connect(&url).await;
        for at in [
            "'2020-03-03 03:03:03.123456'",
            "'2020-03-31 23:59:59.999999'",
            "'2020-04-01'",
            "'2020-05-05'",
            "now()",
        ] {
            entry_at(&db, at, "user_created").await;
        }
        make_audit_partitions(&db).await.expect("made");
        let folder = tempfile::tempdir().expect("a folder");
        Self { url, db, folder }
    }

    async fn archive(&self, before: &str) -> Result<Vec<Archived>, ArchiveError> {
        self.archive_into(before, self.folder.path()).await
    }

    async fn archive_into(&self, before: &str, folder: &Path) -> Result<Vec<Archived>, ArchiveError> {
        let order = Order {
            before: format!("{before}-01").parse().expect("a month"),
            folder: folder.to_owned(),
            recorder: "management-test".to_owned(),
        };
        // As the command does: a connection of its own.
        let db = connect(&self.url).await;
        archive_months(&db, &order).await
    }

    fn files(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.folder.path())
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("characters"))
            .filter(|name| name != ".audit-archive.lock")
            .collect();
        names.sort();
        names
    }

    async fn months(&self) -> String {
        text(
            &self.db,
            "SELECT string_agg(name, ' ' ORDER BY ends_at) FROM audit_log_partitions() WHERE ends_at < now()",
        )
        .await
    }
}

fn lines(path: &Path) -> Vec<Value> {
    let file = fs::File::open(path).expect("a file");
    let lines = BufReader::new(GzDecoder::new(file)).lines();
    lines
        .map(|line| serde_json::from_str(&line.expect("a line")).expect("JSON"))
        .collect()
}

#[tokio::test]
async fn months_are_written_checked_dropped_and_audited_the_oldest_first() {
    let site = Site::make().await;
    let archived = site.archive("2020-05").await.expect("archived");

    let names: Vec<&str> = archived.iter().map(|one| one.manifest.file.as_str()).collect();
    assert_eq!(names, ["audit-2020-03.jsonl.gz", "audit-2020-04.jsonl.gz"]);
    assert_eq!(
        site.files(),
        [
            "audit-2020-03.jsonl.gz",
            "audit-2020-03.manifest.json",
            "audit-2020-04.jsonl.gz",
            "audit-2020-04.manifest.json"
        ]
    );
    let first = lines(&archived[0].path);
    assert_eq!(first.len(), 2);
    assert_eq!(first[0]["timestamp"], "2020-03-03T03:03:03.123456+00:00");
    assert_eq!(
        (&first[0]["details"], &first[0]["after"]["a"][0]),
        (&Value::from("two\nlines \"and\" more"), &Value::from(1))
    );
    for path in site.files() {
        let mode = fs::metadata(site.folder.path().join(&path))
            .expect("a file")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{path}");
    }
    let beside = fs::read_to_string(site.folder.path().join("audit-2020-03.manifest.json")).expect("a manifest");
    let manifest: Manifest = serde_json::from_str(&beside).expect("a manifest");
    assert_eq!(
        (manifest.rows, manifest.first_id, manifest.last_id),
        (2, Some(1), Some(2))
    );
    let packed = fs::read(&archived[0].path).expect("a file");
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &packed);
    assert_eq!(manifest.sha256, data_encoding::HEXLOWER.encode(digest.as_ref()));

    assert_eq!(site.months().await, "audit_log_2020_05");
    let told = "SELECT string_agg(actor || ' ' || server_id || ' ' || (after ->> 'file') || ' ' || (after ->> 'rows') || ' ' || (after ->> 'sha256'), ' ' ORDER BY id)
                FROM audit_log WHERE action = 'audit_archived'";
    let expected: Vec<String> = archived
        .iter()
        .map(|one| {
            format!(
                "command management-test {} {} {}",
                one.manifest.file, one.manifest.rows, one.manifest.sha256
            )
        })
        .collect();
    assert_eq!(text(&site.db, told).await, expected.join(" "));

    assert_eq!(site.archive("2020-05").await.expect("nothing is left to do"), []);
    assert_eq!(site.files().len(), 4);
}

#[tokio::test]
async fn an_archive_can_be_read_into_a_table_again() {
    let site = Site::make().await;
    let before = text(
        &site.db,
        "SELECT string_agg(a::text, '|' ORDER BY id) FROM audit_log a WHERE timestamp < '2020-04-01'",
    )
    .await;
    let archived = site.archive("2020-04").await.expect("archived");
    run(&site.db, "CREATE TABLE looked_up (LIKE audit_log)").await;
    for line in lines(&archived[0].path) {
        let line = line.to_string().replace('\'', "''");
        let sql = format!("INSERT INTO looked_up SELECT * FROM jsonb_populate_record(NULL::audit_log, '{line}')");
        run(&site.db, &sql).await;
    }
    assert_eq!(
        text(&site.db, "SELECT string_agg(a::text, '|' ORDER BY id) FROM looked_up a").await,
        before
    );
}

#[tokio::test]
async fn a_month_that_is_not_over_is_not_archived() {
    let site = Site::make().await;
    let before = entries(&site.db).await;
    let today = Utc::now().date_naive();
    let next = today.checked_add_months(chrono::Months::new(1)).expect("a month");
    for month in [next, NaiveDate::from_ymd_opt(9999, 12, 1).expect("a day")] {
        let refused = site.archive(&month.format("%Y-%m").to_string()).await;
        assert!(matches!(refused, Err(ArchiveError::NotOver { .. })), "{refused:?}");
    }
    assert_eq!((entries(&site.db).await, site.files().len()), (before, 0));

    let archived = site
        .archive(&today.format("%Y-%m").to_string())
        .await
        .expect("archived");
    assert_eq!(archived.len(), 3);
    let this_month = format!("SELECT count(*) FROM audit_log_{}_{:02}", today.year(), today.month());
    assert_eq!(
        number(&site.db, &this_month).await,
        1 + 3,
        "the entry of this month, and one for each archive"
    );
}

#[tokio::test]
async fn a_run_that_was_killed_is_taken_up_where_it_was() {
    let site = Site::make().await;
    // It was killed while it wrote the file of March..
    fs::write(site.folder.path().join(".audit-2020-03.1.0.tmp"), "half").expect("written");
    // ..and, in another life, after it wrote that of April and before its transaction was committed.
    let other = site.folder.path().join("other");
    let whole = archived_elsewhere(&site, &other).await;
    fs::rename(&whole, site.folder.path().join("audit-2020-04.jsonl.gz")).expect("moved");
    fs::remove_dir_all(other).expect("removed");

    site.archive("2020-06").await.expect("archived");

    let files = site.files();
    assert!(files.contains(&"audit-2020-04.manifest.json".to_owned()), "{files:?}");
    assert!(
        !files.iter().any(|name| name.contains("tmp") || name.contains("-2.")),
        "{files:?}"
    );
    assert_eq!(files.len(), 6);
    assert_eq!(
        number(
            &site.db,
            "SELECT count(*) FROM audit_log WHERE action = 'audit_archived'"
        )
        .await,
        3
    );
    assert_eq!(
        number(&site.db, "SELECT count(*) FROM audit_log WHERE action = 'user_created'").await,
        1
    );
}

/// The archive of April, made from a copy of the database.
async fn archived_elsewhere(site: &Site, folder: &Path) -> std::path::PathBuf {
    let copy = Site::make().await;
    let ids = "SELECT string_agg(id::text, ' ' ORDER BY id) FROM audit_log";
    assert_eq!(text(&copy.db, ids).await, text(&site.db, ids).await);
    let archived = copy.archive_into("2020-05", folder).await.expect("archived");
    archived[1].path.clone()
}

#[tokio::test]
async fn files_with_other_entries_are_never_overwritten() {
    let site = Site::make().await;
    let theirs = site.folder.path().join("audit-2020-03.jsonl.gz");
    fs::write(&theirs, "another fleet's").expect("written");

    let archived = site.archive("2020-04").await.expect("archived");

    assert_eq!(fs::read_to_string(&theirs).expect("still there"), "another fleet's");
    assert_eq!(archived[0].manifest.file, "audit-2020-03-2.jsonl.gz");
    assert_eq!(lines(&archived[0].path).len(), 2);
    assert!(site.files().contains(&"audit-2020-03-2.manifest.json".to_owned()));
    // An entry for a month that was archived comes late: it is archived too.
    entry_at(&site.db, "'2020-03-15'", "user_removed").await;
    let archived = site.archive("2020-04").await.expect("archived");
    assert_eq!(
        (archived[0].manifest.file.as_str(), archived[0].manifest.rows),
        ("audit-2020-03-3.jsonl.gz", 1)
    );
}

#[tokio::test]
async fn nothing_is_dropped_when_the_file_cannot_be_written() {
    let site = Site::make().await;
    let before = entries(&site.db).await;
    let blocked = site.folder.path().join("file");
    fs::write(&blocked, "in the way").expect("written");
    site.archive_into("2020-06", &blocked).await.expect_err("no folder");
    // The file can be written, but a folder is in the place of its manifest.
    let taken = site.folder.path().join("taken");
    fs::create_dir(&taken).expect("made");
    fs::create_dir(taken.join("audit-2020-03.manifest.json")).expect("made");
    site.archive_into("2020-06", &taken).await.expect_err("no manifest");
    assert_eq!(entries(&site.db).await, before);
    assert!(taken.join("audit-2020-03.jsonl.gz").exists());

    fs::remove_dir(taken.join("audit-2020-03.manifest.json")).expect("removed");
    assert_eq!(site.archive_into("2020-06", &taken).await.expect("archived").len(), 3);
}

#[tokio::test]
async fn two_at_once_exclude_each_other() {
    let site = Site::make().await;
    let before = entries(&site.db).await;
    // In one folder, for whatever database.
    let lock = fs::File::create(site.folder.path().join(".audit-archive.lock")).expect("a file");
    lock.lock().expect("locked");
    let refused = site.archive("2020-06").await;
    assert!(matches!(refused, Err(ArchiveError::Busy)), "{refused:?}");
    drop(lock);
    // On one database, into whatever folder. The number is the lock of the operation.
    let other = site.db.begin().await.expect("begun");
    sea_orm::ConnectionTrait::execute_unprepared(&other, "SELECT pg_advisory_xact_lock(1634886504)")
        .await
        .expect("locked");
    let refused = site.archive("2020-06").await;
    assert!(matches!(refused, Err(ArchiveError::Busy)), "{refused:?}");
    assert_eq!(entries(&site.db).await, before);
    other.rollback().await.expect("ended");

    // Whoever comes second gives up or finds the rest: each month is archived once.
    let (one, two) = (site.folder.path().join("one"), site.folder.path().join("two"));
    let both = futures_util::future::join(site.archive_into("2020-06", &one), site.archive_into("2020-06", &two)).await;
    let archived = |result: &Result<Vec<Archived>, ArchiveError>| match result {
        Ok(archived) => archived.len(),
        Err(ArchiveError::Busy) => 0,
        Err(error) => panic!("{error:?}"),
    };
    let _some = archived(&both.0) + archived(&both.1);
    site.archive("2020-06").await.expect("the rest");
    assert_eq!(
        number(
            &site.db,
            "SELECT count(*) FROM audit_log WHERE action = 'audit_archived'"
        )
        .await,
        3
    );
    assert_eq!(
        number(
            &site.db,
            "SELECT count(DISTINCT after ->> 'partition') FROM audit_log WHERE action = 'audit_archived'"
        )
        .await,
        3
    );
}

#[tokio::test]
async fn a_month_is_archived_while_partitions_are_made() {
    let site = Site::make().await;
    // What a management does every hour; it has read the default partition, and looks at all the others now.
    let housekeeping = site.db.begin().await.expect("begun");
    sea_orm::ConnectionTrait::execute_unprepared(&housekeeping, "SELECT audit_log_make_partitions(3)")
        .await
        .expect("made");
    let archive = site.archive("2020-04");
    let goes_on = async {
        let waits = "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
                     WHERE d.datname = current_database() AND NOT granted";
        until(&site.db, "the archive waits for the housekeeping", waits).await;
        let look = "SELECT count(*) FROM audit_log_partitions()";
        sea_orm::ConnectionTrait::execute_unprepared(&housekeeping, look)
            .await
            .expect("no deadlock");
        housekeeping.commit().await.expect("ended");
    };
    let (archived, ()) = futures_util::future::join(archive, goes_on).await;
    assert_eq!(archived.expect("archived").len(), 1);
}

#[tokio::test]
async fn entries_of_readers_and_writers_go_on_while_a_month_is_archived() {
    let site = Site::make().await;
    let reader = site.db.begin().await.expect("begun");
    sea_orm::ConnectionTrait::execute_unprepared(&reader, "SELECT count(*) FROM audit_log")
        .await
        .expect("read");
    let archive = site.archive("2020-04");
    let write = async {
        // The reader keeps the month from being dropped; who writes now must not wait for it.
        let waits = "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
                     WHERE d.datname = current_database() AND mode = 'AccessExclusiveLock' AND NOT granted";
        until(&site.db, "the drop waits for the reader", waits).await;
        entry_at(&site.db, "now()", "user_removed").await;
        reader.commit().await.expect("ended");
    };
    let (archived, ()) = futures_util::future::join(archive, write).await;
    assert_eq!(archived.expect("archived").len(), 1);
    assert_eq!(
        number(&site.db, "SELECT count(*) FROM audit_log WHERE action = 'user_removed'").await,
        1
    );
}
