//! Management does nothing while nobody has decided.

use std::time::Duration;

use vpnmanager_management::ops::{publications::claim::claim, restoration::mark::Undecided};
use vpnmanager_testbed::wait;

use super::{Site, empty_database};
use crate::database::{connect, run};
use crate::ops::unpublish;
use crate::process;
use crate::stack::Stack;

#[tokio::test]
async fn a_restored_database_starts_no_management_until_somebody_has_decided() {
    let site = Site::start().await;
    site.save().await.expect("saved");
    let url = empty_database().await;
    site.restore(&url).await.expect("restored");

    let Err(error) = Stack::try_start_on(&url, &[]).await else {
        panic!("it started")
    };
    let undecided = error.downcast_ref::<Undecided>().expect("the reason");
    assert!(undecided.source_file.ends_with("backup.age"), "{undecided}");
    let text = undecided.to_string();
    assert!(
        text.contains("restore-review") && text.contains("restore-decide"),
        "{text}"
    );
}

#[tokio::test]
async fn the_service_says_what_it_waits_for_and_goes_on_by_itself() {
    let url = crate::database::fresh_database().await;
    let db = connect(&url).await;
    run(
        &db,
        "INSERT INTO restorations (made_at, source) VALUES ('2026-12-01', 'last-week.age')",
    )
    .await;
    let mut waiting = process::start_waiting(&url).await;
    let health = || async { reqwest::get(format!("http://{}/health", waiting.address)).await.ok() };
    let answer = wait::until_some(wait::SOON, "an answer", health)
        .await
        .expect("answered");
    assert_eq!(answer.status(), 503);
    let problem: serde_json::Value = answer.json().await.expect("JSON");
    let detail = problem["detail"].as_str().expect("words");
    assert!(
        detail.contains("last-week.age") && detail.contains("restore-decide"),
        "{detail}"
    );
    let users = reqwest::get(format!("http://{}/api/users", waiting.address)).await;
    assert_eq!(users.expect("answered").status(), 503);

    run(&db, "UPDATE restorations SET decided_at = now(), kept = 'file'").await;
    let address = waiting.address;
    let is_well = || async {
        let health = reqwest::get(format!("http://{address}/health")).await;
        health.is_ok_and(|health| health.status() == 200)
    };
    wait::until(wait::SOON, "the service", is_well)
        .await
        .expect("it went on");
    waiting.child.kill().await.expect("ended");
    tokio::time::timeout(Duration::from_secs(10), waiting.child.wait())
        .await
        .expect("ends")
        .expect("waited for");
}

/// It was not stopped before the restore, and came back to the restored database.
#[tokio::test]
async fn a_management_that_runs_on_a_restored_database_publishes_nothing_and_ends() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    stack.create_user("alice").await;
    let db = &stack.app.db;
    run(
        db,
        "INSERT INTO restorations (made_at, source) VALUES ('2026-12-01', 'last-week.age')",
    )
    .await;
    let ended = tokio::time::timeout(wait::SOON, stack.tasks.wait(wait::SOON));
    let error = ended.await.expect("it ends").expect_err("it ends with an error");
    let error = format!("{:#}", anyhow::Error::from(error));
    assert!(error.contains("restored"), "{error}");

    unpublish(&stack).await;
    assert!(claim(db).await.expect("claimed").is_empty());
    run(db, "UPDATE restorations SET decided_at = now(), kept = 'file'").await;
    assert_eq!(claim(db).await.expect("claimed").len(), 1);
}
