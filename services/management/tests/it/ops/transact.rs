//! Who loses against another transaction tries again.

use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::future::join_all;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, TransactionTrait as _};
use tokio::sync::Barrier;
use vpnmanager_management::ops::{
    sqlstate::sqlstate,
    transact::{Transaction, transact},
};

use crate::database::{connect, fresh_database, run};
use crate::stack::Stack;

/// The error of an operation: what the database said is its source.
#[derive(Debug, thiserror::Error)]
enum OperationError {
    #[error("recording failed")]
    Database(#[from] DbErr),
    #[error("the operation refused")]
    Refused,
}

/// Has PostgreSQL end the transaction with this SQLSTATE.
async fn fail_with(transaction: &DatabaseTransaction, code: &str) -> Result<(), DbErr> {
    let block = format!("DO $$ BEGIN RAISE SQLSTATE '{code}'; END $$");
    transaction.execute_unprepared(&block).await.map(drop)
}

async fn lock(transaction: &DatabaseTransaction, number: u32) -> Result<(), DbErr> {
    let statement = format!("SELECT pg_advisory_xact_lock({number})");
    transaction.execute_unprepared(&statement).await.map(drop)
}

#[tokio::test]
async fn who_loses_starts_again_and_leaves_nothing_of_the_lost_tries() {
    let stack = Stack::start().await;
    let db = &stack.app.db;
    db.execute_unprepared("CREATE TABLE tries (number INT)")
        .await
        .expect("created");
    for code in ["40001", "40P01", "55P03"] {
        let tries = AtomicU32::new(0);
        let tries = &tries;

        let result = transact(db, |tx| async move {
            let number = tries.fetch_add(1, Ordering::SeqCst) + 1;
            tx.execute_unprepared(&format!("INSERT INTO tries VALUES ({number})"))
                .await?;
            if number < 3 {
                fail_with(&tx, code).await?;
            }
            Ok::<_, OperationError>(number)
        });

        assert_eq!(result.await.expect("the third try succeeds"), 3, "{code}");
        let left = db.execute_unprepared("DELETE FROM tries WHERE number = 3").await;
        assert_eq!(left.expect("deleted").rows_affected(), 1, "{code}");
        let lost = db.execute_unprepared("DELETE FROM tries").await;
        assert_eq!(lost.expect("deleted").rows_affected(), 0, "{code}");
    }
}

#[tokio::test]
async fn who_always_loses_is_told_so_after_six_tries() {
    let stack = Stack::start().await;
    let tries = AtomicU32::new(0);
    let counted = &tries;

    let result = transact(&stack.app.db, |tx| async move {
        counted.fetch_add(1, Ordering::SeqCst);
        fail_with(&tx, "40001").await
    });

    let error = result.await.expect_err("it lost each time");
    assert_eq!(sqlstate(&error).as_deref(), Some("40001"));
    assert_eq!(tries.into_inner(), 6);
}

#[tokio::test]
async fn what_would_fail_again_is_tried_once() {
    let stack = Stack::start().await;
    for code in [Some("23505"), Some("22021"), Some("57P01"), Some("53300"), None] {
        let tries = AtomicU32::new(0);
        let counted = &tries;

        let result = transact(&stack.app.db, |tx| async move {
            counted.fetch_add(1, Ordering::SeqCst);
            match code {
                Some(code) => Ok(fail_with(&tx, code).await?),
                None => Err(OperationError::Refused),
            }
        });

        result.await.expect_err("it fails");
        assert_eq!(tries.into_inner(), 1, "{code:?}");
    }
}

#[tokio::test]
async fn of_two_that_wait_for_each_other_both_succeed() {
    let stack = Stack::start().await;
    let (tries, both_hold_one) = (AtomicU32::new(0), Barrier::new(2));
    let crossing = |first: u32, second: u32| {
        let (db, tries, both_hold_one) = (&stack.app.db, &tries, &both_hold_one);
        transact(db, move |tx| async move {
            lock(&tx, first).await?;
            if tries.fetch_add(1, Ordering::SeqCst) < 2 {
                both_hold_one.wait().await;
            }
            lock(&tx, second).await
        })
    };

    let (one, other) = tokio::join!(crossing(1, 2), crossing(2, 1));

    one.expect("committed");
    other.expect("committed");
    assert_eq!(tries.into_inner(), 3, "one of them lost once");
}

#[tokio::test]
async fn who_meets_connections_from_before_a_failover_gets_a_new_one() {
    let database = fresh_database().await;
    let (admin, pool) = (connect(&database).await, connect(&database).await);
    let (_, name) = database.rsplit_once('/').expect("a URL with a database");
    let name = name.split('?').next().unwrap_or_default();
    run(&admin, "CREATE TABLE tries (number INT)").await;
    // What is set for a database counts for sessions that begin later.
    run(
        &admin,
        &format!("ALTER DATABASE \"{name}\" SET default_transaction_read_only = on"),
    )
    .await;
    run(
        &admin,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    .await;
    // Four at the same time are four connections.
    let held = join_all((0..4).map(|_| pool.begin())).await;
    for transaction in held {
        transaction.expect("begun").rollback().await.expect("ended");
    }
    let write = async || {
        let insert = async |tx: Transaction| {
            tx.execute_unprepared("INSERT INTO tries VALUES (1)").await?;
            Ok::<_, OperationError>(())
        };
        transact(&pool, insert).await
    };
    let refused = write().await.expect_err("all sessions are read-only");
    let OperationError::Database(refused) = refused else {
        panic!("{refused}");
    };
    assert_eq!(sqlstate(&refused).as_deref(), Some("25006"));

    let held = join_all((0..4).map(|_| pool.begin())).await;
    run(
        &admin,
        &format!("BEGIN READ WRITE; ALTER DATABASE \"{name}\" RESET default_transaction_read_only; COMMIT"),
    )
    .await;
    drop(held);
    write().await.expect("a new connection takes it");
}
