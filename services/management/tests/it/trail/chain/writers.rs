//! Whoever writes, the chains have no gap and no fork.

use std::time::Duration;

use futures_util::future::{join, join_all};
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement, TransactionTrait};
use vpnmanager_management::domain::audit_chain::{Kind, Signers};

use super::{entry_at, faults, number, run, tamper, verify};
use crate::database::{connect, connect_fresh, fresh_database, until};

const INSERT: &str = "INSERT INTO audit_log (action, server_id, actor) VALUES ('user_created', 'management', 'system')";

/// Transactions as management has them: with one or several statements, with a part that is taken back, and some that fail.
async fn write(db: &DatabaseConnection, writer: usize) -> usize {
    let mut written = 0;
    for turn in 0..30 {
        let transaction = db.begin().await.expect("begun");
        transaction.execute_unprepared(INSERT).await.expect("inserted");
        let part = transaction.begin().await.expect("begun");
        part.execute_unprepared(INSERT).await.expect("inserted");
        let keeps_part = (writer + turn).is_multiple_of(3);
        if keeps_part {
            part.commit().await.expect("kept");
        } else {
            part.rollback().await.expect("taken back");
        }
        let many = "INSERT INTO audit_log (action, server_id, actor) SELECT 'user_created', 'management', 'system' FROM generate_series(1, 3)";
        transaction.execute_unprepared(many).await.expect("inserted");
        if (writer + turn).is_multiple_of(4) {
            transaction.rollback().await.expect("rolled back");
        } else {
            transaction.commit().await.expect("committed");
            written += 4 + usize::from(keeps_part);
        }
    }
    written
}

#[tokio::test]
async fn writers_at_once_share_chains_without_gaps_also_when_they_roll_back() {
    let url = fresh_database().await;
    let pools = join_all((0..3).map(|_| connect(&url))).await;
    // More than there are chains.
    let writers = (0..24).map(|writer| write(&pools[writer % pools.len()], writer));
    let written: usize = join_all(writers).await.into_iter().sum();

    let report = verify(&pools[0], &Signers::default()).await;

    assert_eq!(faults(&report), []);
    assert_eq!(report.entries, written as u64);
    let chains = number(&pools[0], "SELECT count(DISTINCT chain) FROM audit_log").await;
    assert!(chains > 1, "nobody waited for somebody else's commit: {chains}");
    let ends = "SELECT count(*) FROM audit_chains c WHERE seq > 0 AND NOT EXISTS (
                    SELECT FROM audit_log a WHERE a.chain = c.chain AND a.chain_seq = c.seq AND a.hash = c.hash)";
    assert_eq!(number(&pools[0], ends).await, 0);
}

#[tokio::test]
async fn a_transaction_that_stays_open_holds_nobody_up() {
    let db = connect_fresh().await;
    let open = db.begin().await.expect("begun");
    open.execute_unprepared(INSERT).await.expect("inserted");
    for _ in 0..20 {
        run(&db, &format!("SET lock_timeout = '1s'; {INSERT}; RESET lock_timeout")).await;
    }
    open.commit().await.expect("committed");
    let report = verify(&db, &Signers::default()).await;
    assert_eq!((faults(&report), report.entries), (Vec::new(), 21));
    assert_eq!(number(&db, "SELECT count(DISTINCT chain) FROM audit_log").await, 2);
}

#[tokio::test]
async fn who_finds_all_chains_taken_takes_the_first_that_is_free() {
    let url = fresh_database().await;
    let pools = join_all((0..3).map(|_| connect(&url))).await;
    let mut open = Vec::new();
    for writer in 0..16 {
        let transaction = pools[writer % 2].begin().await.expect("begun");
        transaction.execute_unprepared(INSERT).await.expect("inserted");
        open.push(transaction);
    }
    let mut late = Vec::new();
    // Whichever chain it would have waited for, two of these are of others.
    for _ in 0..2 {
        let next = pools[2].begin().await.expect("begun");
        let inserting = next.execute_unprepared(INSERT);
        let ended = open.pop().expect("one that is open");
        let ending = async {
            let waits = "SELECT count(*) FROM pg_stat_activity
                         WHERE datname = current_database() AND wait_event IN ('PgSleep', 'advisory')";
            until(&pools[2], "the next one waits", waits).await;
            ended.commit().await.expect("committed");
        };
        let both = tokio::time::timeout(Duration::from_secs(20), join(inserting, ending)).await;
        let (inserted, ()) = both.expect("it does not wait for one that stays open");
        inserted.expect("inserted");
        // All are taken again.
        late.push(next);
    }
    for transaction in open.into_iter().chain(late) {
        transaction.commit().await.expect("committed");
    }
    let report = verify(&pools[0], &Signers::default()).await;
    assert_eq!((faults(&report), report.entries), (Vec::new(), 18));
}

#[tokio::test]
async fn settings_that_somebody_else_makes_neither_fork_a_chain_nor_break_it() {
    let db = connect_fresh().await;
    entry_at(&db, "now()", "user_created").await;
    // A head that is not the chain's, before the statement.
    run(
        &db,
        &format!("SET vpnmanager.audit_head = '3 7 7 00'; {INSERT}; RESET vpnmanager.audit_head"),
    )
    .await;
    // A chain that another transaction has: who comes second fails, and would try again.
    let open = db.begin().await.expect("begun");
    open.execute_unprepared(INSERT).await.expect("inserted");
    let held = "SELECT objid FROM pg_locks l JOIN pg_database d ON d.oid = l.database
                WHERE d.datname = current_database() AND l.classid = 1667785065";
    let chain = number(&db, held).await;
    let taking = async {
        let second = db.begin().await.expect("begun");
        second
            .execute_unprepared(&format!("SET LOCAL vpnmanager.audit_chain = '{chain}'"))
            .await
            .expect("set");
        second
            .execute_unprepared(INSERT)
            .await
            .expect_err("another has the chain");
    };
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let ending = async {
        until(&db, "the second waits for the row of the chain", waits).await;
        open.commit().await.expect("committed");
    };
    join(taking, ending).await;
    let report = verify(&db, &Signers::default()).await;
    assert_eq!((faults(&report), report.entries), (Vec::new(), 3));
}

#[tokio::test]
async fn entries_from_before_there_were_chains_are_told_apart_from_forged_ones() {
    let db = connect_fresh().await;
    // As a migration finds them.
    for _ in 0..3 {
        tamper(&db, INSERT).await;
    }
    tamper(&db, "UPDATE audit_chains SET begun_after = 3").await;
    entry_at(&db, "now()", "user_created").await;
    let report = verify(&db, &Signers::default()).await;
    assert_eq!((faults(&report), report.unchained, report.entries), (Vec::new(), 3, 4));

    tamper(&db, INSERT).await;
    let report = verify(&db, &Signers::default()).await;
    assert_eq!(faults(&report), [(Kind::Inserted, Some(5))]);

    let into_partition = "INSERT INTO audit_log_default (id, timestamp, action, server_id, actor) VALUES (9, '1999-01-01', 'x', 'x', 'x')";
    let statement = Statement::from_string(db.get_database_backend(), into_partition);
    let refused = db.execute_raw(statement).await.expect_err("no way past the chains");
    assert!(refused.to_string().contains("not into a partition"), "{refused}");
}
