//! What can be wrong with the authority and the nodes.

use std::fs;

use poem::http::StatusCode;
use vpnmanager_management::pki::Pki;

use super::site::{Site, copy_of, path};
use crate::{
    database::{connect, run},
    stack::WithKey as _,
};

#[tokio::test]
async fn an_authority_that_lacks_its_key_is_told() {
    let site = Site::start().await;
    let copy = copy_of(&site.stack.config.pki.dir);
    fs::remove_file(copy.path().join("ca.key")).expect("removed");
    let examined = site.examine(&[("PKI_DIR", path(copy.path()))]).await;
    let failed = examined.fails_alone("authority");
    assert!(
        failed["why"].as_str().expect("text").contains("lacks ca.key"),
        "{failed:#}"
    );
    examined.skips(&["fleet"], "the check authority failed");
}

#[tokio::test]
async fn the_authority_of_another_fleet_is_told() {
    let site = Site::start().await;
    let other = tempfile::tempdir().expect("a folder");
    Pki::load_or_create(other.path()).expect("an authority");
    site.examine(&[("PKI_DIR", path(other.path()))])
        .await
        .fails_alone("fleet");
    // A replica without any would make one of its own.
    let none = other.path().join("none");
    let examined = site.examine(&[("PKI_DIR", path(&none))]).await;
    examined.fails_alone("fleet");
    assert!(examined.ids("warning").contains(&"authority"), "{:#}", examined.report);
    assert!(!none.exists(), "the doctor makes none");
}

#[tokio::test]
async fn a_node_that_is_lost_is_told_with_what_to_do_there() {
    let site = Site::start().await;
    site.stack.enrol("n1").await;
    site.stack.enrol("n2").await;
    // Nobody judges it anew.
    site.stack.end_tasks().await;
    let db = connect(&site.database).await;
    let state = "UPDATE servers SET state = 'lost', state_reason = 'no heartbeat since yesterday' WHERE name = 'n2'";
    run(&db, state).await;
    let examined = site.examine(&[]).await;
    // With its tasks, management has ended.
    let failed = examined.fail_alone(&["nodes", "service"]);
    assert_eq!(failed["of"], "n2");
    assert_eq!(failed["why"], "no heartbeat since yesterday");
    assert_eq!(
        failed["mend"],
        "ssh root@127.0.0.1 systemctl restart vpnmanager-endnode"
    );
    let other = examined.checks().find(|check| check["of"] == "n1").expect("n1");
    assert_eq!(other["outcome"], "warning", "{other:#}");

    // Whoever drains a node may take it away.
    run(&db, "UPDATE servers SET draining = true WHERE name = 'n2'").await;
    let examined = site.examine(&[]).await;
    examined.fails_alone("service");
    let drained = examined.checks().find(|check| check["of"] == "n2").expect("n2");
    assert_eq!(drained["outcome"], "warning", "{drained:#}");
    assert_eq!(drained["found"], "lost, and drained");
}

#[tokio::test]
async fn an_authority_without_its_certificate_is_told_and_none_is_made() {
    let site = Site::start().await;
    let copy = copy_of(&site.stack.config.pki.dir);
    for name in ["ca.pem", ".lock"] {
        fs::remove_file(copy.path().join(name)).expect("removed");
    }
    let examined = site.examine(&[("PKI_DIR", path(copy.path()))]).await;
    let failed = examined.fails_alone("authority");
    assert!(
        failed["why"].as_str().expect("text").contains("lacks ca.pem"),
        "{failed:#}"
    );
    for name in ["ca.pem", ".lock"] {
        assert!(!copy.path().join(name).exists(), "{name} was made");
    }
}

#[tokio::test]
async fn refusals_of_the_last_hour_are_a_warning() {
    let site = Site::start().await;
    let guessed = site.stack.client().get("/api/users").key("a-wrong-key").send().await;
    guessed.assert_status(StatusCode::UNAUTHORIZED);
    assert_eq!(site.stack.refusals(1).await.values().sum::<u32>(), 1);
    let examined = site.examine(&[]).await;
    let warning = examined
        .checks()
        .find(|check| check["id"] == "audit")
        .expect("a finding");
    assert_eq!(warning["outcome"], "warning", "{warning:#}");
    assert!(
        warning["found"].as_str().expect("text").contains("access_refused"),
        "{warning:#}"
    );
}
