//! The journal over crashes.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
    time::Duration,
};

use chrono::Utc;
use vpnmanager_endnode::journal::{Journal, JournalError};
use vpnmanager_nats::{acks::Outcome, sync::StreamId};
use vpnmanager_runtime::tasks::Tasks;
use vpnmanager_testbed::wait;

use crate::parts::{Parts, User};

const APPLIED: Outcome = Outcome::Applied {
    issued: None,
    further: Vec::new(),
    note: None,
};

#[tokio::test]
async fn what_was_written_is_there_after_a_restart_and_private() {
    let (parts, alice) = (Parts::new(), User::new("alice"));
    parts.apply(alice.standby(3)).await;
    parts.tasks.stop();
    parts.tasks.wait(Duration::from_secs(5)).await.unwrap();

    let mode = std::fs::metadata(parts.dir.journal()).unwrap().permissions().mode();
    let journal = Journal::open(&parts.dir.journal(), &Tasks::new()).unwrap();
    let key = alice.key;
    let held = journal.read(move |records| records.user(key)).await.unwrap().unwrap();

    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(held.command, alice.standby(3));
    assert_eq!(held.applied.0, 3);
}

#[tokio::test]
async fn a_write_that_fails_leaves_nothing_and_does_not_take_others_with_it() {
    let (parts, alice, bob) = (Parts::new(), User::new("alice"), User::new("bob"));
    let (a, b) = (alice.standby(1), bob.standby(1));
    let bad = parts.journal.write(move |records| {
        records.store_command(&a, Some(&APPLIED), Utc::now())?;
        Err::<(), _>(JournalError::Value { what: "a test" })
    });
    let good = parts
        .journal
        .write(move |records| records.store_command(&b, Some(&APPLIED), Utc::now()));

    let (bad, good) = tokio::join!(bad, good);

    assert!(bad.is_err());
    good.unwrap();
    let users = parts.journal.read(|records| records.users_after("", 10)).await.unwrap();
    assert_eq!(users.len(), 1);
}

#[tokio::test]
async fn concurrent_writes_share_commits() {
    let parts = Parts::new();
    let before = *parts.journal.commits().borrow();
    let writes = (0..500).map(|number| {
        let user = User::new(&format!("user{number}"));
        let journal = parts.journal.clone();
        async move {
            journal
                .write(move |records| records.store_command(&user.standby(1), Some(&APPLIED), Utc::now()))
                .await
        }
    });
    for written in futures_util::future::join_all(writes).await {
        written.unwrap();
    }
    let commits = *parts.journal.commits().borrow() - before;
    assert!(commits < 100, "{commits} commits for 500 writes");
}

#[tokio::test]
async fn a_writer_that_is_killed_in_mid_commit_loses_nothing_that_was_answered() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let mut answered = 0;
    for round in 0..8 {
        answered = answered.max(kill_a_writer(&path, 40 + round * 15, answered));

        let journal = Journal::open(&path, &Tasks::new()).unwrap();
        let snapshot = journal.read(|records| records.snapshot()).await.unwrap();
        assert!(
            snapshot.last_sequence >= answered,
            "answered {answered}, found {}",
            snapshot.last_sequence
        );
        answered = snapshot.last_sequence;
    }
    assert!(answered > 0, "the writers never wrote");
}

/// Runs a writer for a while, kills it, and returns the last number that it was told is safe.
fn kill_a_writer(path: &std::path::Path, commits: u64, from: u64) -> u64 {
    let mut writer = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "journal::writer_process",
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    writeln!(writer.stdin.as_mut().unwrap(), "{}\n{from}", path.display()).unwrap();
    let mut last = from;
    for line in BufReader::new(writer.stdout.as_mut().unwrap()).lines() {
        if let Some(number) = line.unwrap().strip_prefix("safe ") {
            last = number.parse().unwrap();
            if last >= from + commits {
                break;
            }
        }
    }
    writer.kill().unwrap();
    writer.wait().unwrap();
    last
}

#[tokio::test]
async fn a_damaged_journal_is_set_aside_and_the_node_begins_again() {
    let parts = Parts::new();
    for number in 0..50 {
        parts.apply(User::new(&format!("user{number}")).standby(1)).await;
    }
    parts.tasks.stop();
    parts.tasks.wait(Duration::from_secs(5)).await.unwrap();
    drop(parts.journal);
    let journal = parts.dir.journal();
    rusqlite::Connection::open(&journal)
        .unwrap()
        .pragma_update(None, "wal_checkpoint", "TRUNCATE")
        .unwrap();
    let whole = std::fs::read(&journal).unwrap();

    for kept in [30, 5000, whole.len() / 2, whole.len() - 1] {
        let path = parts.dir.journal().with_file_name(format!("cut-at-{kept}.db"));
        std::fs::write(&path, &whole[..kept]).unwrap();
        let opened = Journal::open(&path, &Tasks::new()).unwrap();
        let snapshot = opened.read(|records| records.snapshot()).await.unwrap();
        let users = opened.read(|records| records.users_after("", 10)).await.unwrap();

        assert!(!snapshot.complete && users.is_empty(), "cut at {kept}");
        let beginning = format!("cut-at-{kept}.db.damaged-");
        let aside = std::fs::read_dir(path.parent().unwrap()).unwrap().flatten();
        let aside = aside.filter(|file| file.file_name().to_string_lossy().starts_with(&beginning));
        assert_eq!(aside.count(), 1, "cut at {kept}");
    }
}

#[tokio::test]
async fn a_journal_that_lacks_its_newest_commits_is_kept_and_not_taken_for_complete() {
    let folder = tempfile::tempdir().unwrap();
    let (path, earlier) = (folder.path().join("journal.db"), folder.path().join("earlier.db"));
    let (alice, bob) = (User::new("alice"), User::new("bob"));
    let write = async |user: &User, sequence| {
        let tasks = Tasks::new();
        let journal = Journal::open(&path, &tasks).unwrap();
        let command = user.standby(1);
        let written = journal.write(move |records| {
            records.store_command(&command, Some(&APPLIED), Utc::now())?;
            records.set_stream(StreamId(1))?;
            records.advance_sequence(sequence)?;
            records.set_complete()
        });
        written.await.unwrap();
        drop(journal);
        tasks.stop();
        tasks.wait(Duration::from_secs(5)).await.unwrap();
    };
    let look = async || {
        let journal = Journal::open(&path, &Tasks::new()).unwrap();
        let users = journal.read(|records| records.users_after("", 10)).await.unwrap();
        let snapshot = journal.read(|records| records.snapshot()).await.unwrap();
        (users.len(), snapshot.complete, snapshot.last_sequence, snapshot.stream)
    };
    write(&alice, 7).await;
    std::fs::copy(&path, &earlier).unwrap();
    write(&bob, 9).await;
    assert_eq!(look().await, (2, true, 9, Some(StreamId(1))));

    for suffix in ["-wal", "-shm"] {
        let _missing = std::fs::remove_file(folder.path().join(format!("journal.db{suffix}")));
    }
    std::fs::copy(&earlier, &path).unwrap();

    assert_eq!(look().await, (1, false, 0, None));
    write(&bob, 11).await;
    assert_eq!(look().await, (2, true, 11, Some(StreamId(1))), "it is told once");
}

#[tokio::test]
#[ignore = "the writer that another test starts and kills"]
async fn writer_process() {
    let mut lines = std::io::stdin().lines();
    let path = lines.next().unwrap().unwrap();
    let from: u64 = lines.next().unwrap().unwrap().parse().unwrap();
    let journal = Journal::open(path.as_ref(), &Tasks::new()).unwrap();
    for number in from + 1.. {
        let user = User::new(&format!("user{number}"));
        let written = journal.write(move |records| {
            records.store_command(&user.standby(1), Some(&APPLIED), Utc::now())?;
            records.advance_sequence(number)
        });
        written.await.unwrap();
        writeln!(std::io::stdout(), "safe {number}").unwrap();
    }
}

#[tokio::test]
async fn a_journal_that_another_process_holds_says_so_and_is_written_again_later() {
    let (parts, alice) = (Parts::new(), User::new("alice"));
    let other = rusqlite::Connection::open(parts.dir.journal()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let command = alice.standby(1);

    let refused = parts.applier.apply(vec![command.clone()], 0).await.unwrap_err();
    let said = vpnmanager_runtime::error_chain::chain(&refused).to_string();
    assert!(said.contains("database is locked"), "{said}");

    let fault = parts.journal.fault().unwrap();
    assert!(fault.contains("database is locked"), "{fault}");
    other.execute_batch("ROLLBACK").unwrap();
    parts.apply(command).await;
    assert_eq!(parts.journal.fault(), None);
    assert!(parts.vpn.connect(&alice.credential));
}

#[tokio::test]
async fn a_journal_that_can_be_written_again_is_found_out_without_a_write() {
    let (parts, alice) = (Parts::new(), User::new("alice"));
    let other = rusqlite::Connection::open(parts.dir.journal()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    parts.applier.apply(vec![alice.standby(1)], 0).await.unwrap_err();
    assert!(parts.journal.fault().is_some());

    other.execute_batch("ROLLBACK").unwrap();

    let mended = async || parts.journal.fault().is_none();
    wait::until(Duration::from_secs(10), "the fault to go", mended)
        .await
        .unwrap();
}

#[tokio::test]
async fn who_loses_access_is_refused_although_the_journal_cannot_be_read() {
    let (parts, alice, bob, carol) = (Parts::new(), User::new("alice"), User::new("bob"), User::new("carol"));
    for user in [&alice, &bob, &carol] {
        parts.apply(user.standby(1)).await;
    }
    let other = rusqlite::Connection::open(parts.dir.journal()).unwrap();
    other.execute_batch("DROP TABLE credentials; DROP TABLE users").unwrap();

    let commands = vec![alice.suspended(2), bob.removed(2), carol.standby(2)];
    parts.applier.apply(commands, 0).await.unwrap_err();

    for (user, may) in [(&alice, false), (&bob, false), (&carol, true)] {
        assert_eq!(parts.vpn.connect(&user.credential), may, "{}", user.username);
    }
}
