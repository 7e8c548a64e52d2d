//! What is in archives and no more in the database.

use std::{fs, io::Write as _, path::Path};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use vpnmanager_management::{
    domain::audit_chain::{Begins, Kind, Report, Signers, Trail},
    ops::{
        archive::{Order, archive_months},
        audit_chain::{read_database::read_database, read_files::read_file},
        housekeeping::make_audit_partitions,
    },
};

use super::{entry_at, faults, tamper, text, verify};
use crate::database::{connect, connect_fresh, fresh_database};

/// The database with those files.
async fn verify_with(db: &sea_orm::DatabaseConnection, files: &[&Path]) -> Report {
    let mut trail = Trail::default();
    for file in files {
        read_file(file, &mut trail).expect("read");
    }
    read_database(db, &mut trail).await.expect("read");
    trail.verify(&Signers::default(), Begins::First, None)
}

#[tokio::test]
async fn a_trail_whose_months_are_archived_is_whole_and_one_whose_months_were_deleted_is_not() {
    let url = fresh_database().await;
    let db = connect(&url).await;
    // The third is of an earlier month than the second: its transaction began before.
    for at in [
        "'2020-03-01'",
        "'2020-04-02'",
        "'2020-03-31'",
        "'2020-04-05'",
        "now()",
        "now()",
    ] {
        entry_at(&db, at, "user_created").await;
    }
    make_audit_partitions(&db).await.expect("made");
    let folder = tempfile::tempdir().expect("a folder");
    let order = Order {
        before: "2020-05-01".parse().expect("a month"),
        folder: folder.path().to_owned(),
        recorder: "management-test".to_owned(),
    };
    // As the command does: a connection of its own.
    let archived = archive_months(&connect(&url).await, &order).await.expect("archived");
    let files: Vec<&Path> = archived.iter().map(|one| one.path.as_path()).collect();
    assert_eq!(archived[0].manifest.chains.len(), 2, "the first and the third place");

    let report = verify(&db, &Signers::default()).await;
    assert_eq!((faults(&report), report.archived, report.entries), (Vec::new(), 4, 4));
    let report = verify_with(&db, &files).await;
    assert_eq!((faults(&report), report.archived, report.entries), (Vec::new(), 0, 8));
    let report = verify_with(&db, &files[..1]).await;
    assert_eq!((faults(&report), report.archived), (Vec::new(), 2));

    // Somebody has changed the archive.
    let mut lines = String::new();
    std::io::Read::read_to_string(
        &mut GzDecoder::new(fs::File::open(files[1]).expect("a file")),
        &mut lines,
    )
    .expect("read");
    let forged = folder.path().join("forged.jsonl.gz");
    let mut packed = GzEncoder::new(fs::File::create(&forged).expect("a file"), Compression::default());
    packed
        .write_all(lines.replace("user_created", "user_removed").as_bytes())
        .expect("written");
    packed.finish().expect("written");
    let report = verify_with(&db, &[files[0], forged.as_path()]).await;
    assert_eq!(faults(&report), [(Kind::Changed, Some(2)), (Kind::Changed, Some(4))]);

    // The entry that tells of an archive is gone, and with it what proves that the month was archived.
    let told = "SELECT min(id) FROM audit_log WHERE action = 'audit_archived'";
    let told: i64 = text(&db, told).await.parse().expect("an id");
    tamper(&db, &format!("DELETE FROM audit_log WHERE id = {told}")).await;
    let report = verify(&db, &Signers::default()).await;
    assert!(
        faults(&report).iter().all(|(kind, _)| *kind == Kind::Removed) && report.findings.len() > 1,
        "{:?}",
        report.findings
    );
}

#[tokio::test]
async fn months_that_an_owner_dropped_are_missed() {
    let db = connect_fresh().await;
    for at in ["'2020-03-01'", "now()"] {
        entry_at(&db, at, "user_created").await;
    }
    make_audit_partitions(&db).await.expect("made");
    crate::database::run(&db, "DROP TABLE audit_log_2020_03").await;
    let report = verify(&db, &Signers::default()).await;
    assert_eq!(faults(&report), [(Kind::Removed, Some(2))]);
}
