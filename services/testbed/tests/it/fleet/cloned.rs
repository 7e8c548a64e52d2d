//! A copied state folder: two agents with one identity.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use vpnmanager_testbed::{
    api::Api,
    binaries, ports,
    process::{Process, Spec},
    stack::StackOptions,
    wait,
};

use crate::main_job::site::Site;

/// Management does not wait for the clone to ask.
const TOLD: Duration = wait::under_load(Duration::from_secs(5));

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(copied.success());
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir.join("allow")).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_clone_is_refused_and_the_node_goes_on() {
    let site = Site::start(StackOptions {
        nodes: 1,
        tunnels: Some(false),
        node_env: vec![("HEARTBEAT_INTERVAL".to_owned(), "500ms".to_owned())],
        ..StackOptions::default()
    })
    .await;
    let api = site.stack.api();
    site.create("alice").await;
    let (original, folder) = (site.stack.state().node_dir(1), site.stack.state().dir.join("clone"));
    std::fs::create_dir(&folder).unwrap();
    let copied = folder.join("state");
    copy(&original, &copied);
    let port = ports::free().unwrap();
    let spec = Spec::new("clone", binaries::endnode().unwrap(), &folder, folder.join("clone.log"))
        .env("SERVER_ID", "node-1")
        .env("API_KEY", "c81e7f3a5d0926b4a1f7e35d80c24b96")
        .env("STATE_DIR", &copied)
        .env("LISTEN", format!("127.0.0.1:{port}"))
        .env("OPENVPN_MODE", "none")
        .env("HEARTBEAT_INTERVAL", "500ms");
    let clone = Process::spawn(&spec).unwrap();

    let began = Instant::now();
    let is_alarmed = |node: &Value| {
        let why = node["state_reason"].as_str().unwrap_or_default();
        node["state"] == "degraded" && why.contains("second agent")
    };
    site.endnode_when("node-1", "to be seen twice", is_alarmed).await;
    eprintln!(
        "measured: the clone was noticed after {} ms",
        began.elapsed().as_millis()
    );
    let its_api = Api::new(format!("http://127.0.0.1:{port}"), None);
    let refused = async || {
        its_api
            .get("/health")
            .await
            .is_ok_and(|health| health.body["status"] == "refused")
    };
    let took = wait::until(TOLD, "the clone to be told", refused).await.unwrap();
    eprintln!(
        "measured: the clone was refused {} ms after it was noticed",
        took.as_millis()
    );
    let rows = api.audit("?action=node_cloned").await.unwrap();
    assert_eq!(rows.items().len(), 1, "{}", rows.text);

    // It lets nobody in any more, and what comes now goes to the node alone.
    let locked = async || names(&copied).is_empty();
    wait::until(wait::SOON, "the clone to empty its allow-list", locked)
        .await
        .unwrap();
    for username in ["bob", "carol"] {
        site.create(username).await;
    }
    site.delete("alice").await;
    site.forgets("alice").await;
    assert!(names(&copied).is_empty());
    assert_eq!(names(&original).len(), 2);
    let is_in_sync = |node: &Value| node["sync"]["digest_match"] == true;
    site.endnode_when("node-1", "to hold what it should", is_in_sync).await;
    assert!(clone.alive());
    assert!(
        names(&copied).is_empty(),
        "the comparison with the journal restored nothing"
    );
    clone.kill().await;

    // The alarm ends with the clone.
    site.endnode_when("node-1", "to be healthy", |node| node["state"] == "healthy")
        .await;
    assert_eq!(json!(site.all_synced(wait::SOON).await), json!(2));
}
