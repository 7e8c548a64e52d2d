//! Entries are told in the order of their ids, although their transactions end in another one.

use std::time::Duration;

use futures_util::future::join_all;
use sea_orm::{ConnectionTrait as _, DatabaseConnection, TransactionTrait as _};

use super::reader::Reader;
use super::{insert, record};
use crate::database::{connect, number};
use crate::stack::Stack;

/// Longer than a follower takes that waits for nobody.
const A_WHILE: Duration = Duration::from_millis(800);

async fn names(reader: &mut Reader, count: usize) -> Vec<String> {
    let mut names = Vec::new();
    for _ in 0..count {
        let told = reader.next().await.expect("an event");
        names.push(told.data["data"]["username"].as_str().expect("a name").to_owned());
    }
    names
}

#[tokio::test]
async fn an_entry_is_held_back_while_one_before_it_may_still_come() {
    let stack = Stack::start().await;
    let server = stack.serve().await;
    let mut reader = Reader::open(server, "?type=user_changed").await;
    let db = &stack.app.db;
    let slow = db.begin().await.expect("begun");
    slow.execute_unprepared(&insert("user_changed", "first"))
        .await
        .expect("recorded");
    record(db, "user_changed", "second").await;
    assert!(reader.is_silent_for(A_WHILE).await, "the first may come");
    // Whoever begins to listen now, and asks for all, must not pass it either.
    let mut other = Reader::open(server, "?after=0&type=user_changed").await;
    assert!(other.is_silent_for(A_WHILE).await);
    slow.commit().await.expect("committed");
    assert_eq!(names(&mut reader, 2).await, ["first", "second"]);
    assert_eq!(names(&mut other, 2).await, ["first", "second"]);
}

#[tokio::test]
async fn an_entry_that_never_comes_holds_up_nothing() {
    let stack = Stack::start().await;
    let server = stack.serve().await;
    let mut reader = Reader::open(server, "?type=user_changed").await;
    let db = &stack.app.db;
    let other = db.begin().await.expect("begun");
    let gone = db.begin().await.expect("begun");
    gone.execute_unprepared(&insert("user_changed", "never"))
        .await
        .expect("recorded");
    other
        .execute_unprepared(&insert("user_changed", "late"))
        .await
        .expect("recorded");
    record(db, "user_changed", "last").await;
    gone.rollback().await.expect("rolled back");
    assert!(reader.is_silent_for(A_WHILE).await, "another one may come");
    other.commit().await.expect("committed");
    assert_eq!(names(&mut reader, 2).await, ["late", "last"]);
    let begun = std::time::Instant::now();
    record(db, "user_changed", "after").await;
    assert_eq!(names(&mut reader, 1).await, ["after"]);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

/// Writes entries in transactions of different lengths, and takes some of them back.
async fn write(db: DatabaseConnection, writer: u64) {
    for turn in 0..30_u64 {
        let transaction = db.begin().await.expect("begun");
        let entries = 1 + (writer + turn) % 3;
        for _ in 0..entries {
            let sql = insert("user_changed", &format!("writer-{writer}"));
            transaction.execute_unprepared(&sql).await.expect("recorded");
            tokio::time::sleep(Duration::from_millis(fastrand::u64(0..6))).await;
        }
        if (writer + turn).is_multiple_of(5) {
            transaction.rollback().await.expect("rolled back");
        } else {
            transaction.commit().await.expect("committed");
        }
    }
}

#[tokio::test]
async fn readers_of_many_writers_get_each_entry_once_and_in_order() {
    let database = crate::database::fresh_database().await;
    let stack = Stack::start_on(&database, &[]).await;
    let server = stack.serve().await;
    let before = number(&stack.app.db, "SELECT COALESCE(max(id), 0) FROM audit_log").await;
    let mut steady = Reader::open(
        server,
        &format!("?after={before}&username=writer-0,writer-1,writer-2,writer-3"),
    )
    .await;
    let writers = async {
        let dbs = join_all((0..4).map(|_| connect(&database))).await;
        join_all(dbs.into_iter().enumerate().map(|(writer, db)| write(db, writer as u64))).await;
        // The last one, by which readers know that they are done.
        record(&stack.app.db, "user_removed", "writer-0").await;
    };
    let reading = async {
        let mut ids = Vec::new();
        loop {
            let told = steady.next().await.expect("an event");
            ids.push(told.id);
            if told.kind == "user_removed" {
                return ids;
            }
        }
    };
    let interrupted = async {
        let (mut ids, mut last_id) = (Vec::new(), before.to_string());
        loop {
            let mut reader = Reader::resume(server, &last_id).await;
            for _ in 0..7 {
                let told = reader.next().await.expect("an event");
                if told.data["data"]["username"]
                    .as_str()
                    .is_some_and(|name| name.starts_with("writer-"))
                {
                    ids.push(told.id);
                }
                if told.kind == "user_removed" {
                    return ids;
                }
            }
            last_id.clone_from(&reader.last_id);
        }
    };

    let ((), steady, interrupted) = tokio::join!(writers, reading, interrupted);

    let recorded = number(
        &stack.app.db,
        "SELECT count(*) FROM audit_log WHERE username LIKE 'writer-%'",
    )
    .await;
    for ids in [steady, interrupted] {
        assert!(ids.is_sorted_by(|one, next| one < next), "in order and once: {ids:?}");
        assert_eq!(ids.len() as i64, recorded);
    }
}
