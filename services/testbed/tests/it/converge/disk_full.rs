//! The disk of the bus is full: what ends access still ends it, everybody is told, and nothing is lost once there is room.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

use async_nats::jetstream::response::Response;
use serde_json::{Value, json};
use vpnmanager_testbed::{stack::Part, wait};

use super::records::{Records, bus};
use crate::main_job::site::{SOON, Site};

/// A small file system in memory over a folder, until it is dropped.
struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    /// Takes over what the folder holds.
    fn over(folder: &Path) -> Self {
        let aside = folder.with_extension("aside");
        fs::rename(folder, &aside).unwrap();
        fs::create_dir(folder).unwrap();
        run(Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"])
            .arg(folder));
        run(Command::new("cp").arg("-a").arg(aside.join(".")).arg(folder));
        fs::remove_dir_all(aside).unwrap();
        Self {
            folder: folder.to_owned(),
        }
    }

    /// Leaves no room; dropping what it returns does.
    fn fill(&self) -> Filler {
        let path = self.folder.join("filler");
        // It ends with an error when there is no more room.
        let filled = Command::new("dd")
            .args(["if=/dev/zero", "bs=4096", "status=none"])
            .arg(format!("of={}", path.display()))
            .stderr(std::process::Stdio::null())
            .status();
        assert!(!filled.unwrap().success(), "the disk did not become full");
        Filler { path }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: whoever still uses it keeps it until it ends.
        let _unmounted = Command::new("umount").arg("--lazy").arg(&self.folder).status();
    }
}

struct Filler {
    path: PathBuf,
}

impl Drop for Filler {
    fn drop(&mut self) {
        fs::remove_file(&self.path).unwrap();
    }
}

fn run(command: &mut Command) {
    let status = command.status().unwrap();
    assert!(status.success(), "{command:?}: {status}");
}

/// What management's `/health` says: status and problems.
async fn health(site: &Site) -> (String, String) {
    let answer = site.stack.api().get("/health").await.unwrap();
    let body = answer.body;
    (
        body["status"].as_str().unwrap_or_default().to_owned(),
        body["problems"].to_string(),
    )
}

#[tokio::test]
async fn with_a_full_disk_of_the_bus_access_still_ends_and_the_rest_comes_once_there_is_room() {
    let Some(mut site) = Site::with_tunnels("disk of the bus full").await else {
        return;
    };
    let witness = site.witness().await;
    let (alice, bob) = (site.create("alice").await, site.create("bob").await);
    let (of_alice, of_bob) = (site.visit(&alice).await, site.visit(&bob).await);
    site.stack.stop_part(Part::Nats).await.unwrap();
    let disk = SmallDisk::over(&site.stack.state().dir.join("jetstream"));
    site.stack.start_part(Part::Nats).await.unwrap();
    let healthy = wait::until(SOON, "management to be healthy", async || health(&site).await.0 == "ok");
    healthy.await.unwrap();
    site.create("before").await;

    let filler = disk.fill();
    let api = site.stack.api();
    let told = wait::until(SOON, "/health to name the full disk", async || {
        let (status, problems) = health(&site).await;
        status == "degraded" && problems.contains("no space left on device") && problems.contains("restart it")
    });
    told.await.unwrap();
    let suspending = SystemTime::now();
    let suspended = api
        .change_user("alice", &json!({ "active": false }), Some(SOON))
        .await
        .unwrap();
    of_alice
        .is_cut(suspending, "a suspension while the bus stores nothing")
        .await;
    assert_eq!(suspended.success().unwrap().body["synced"], true);
    let removing = SystemTime::now();
    let removed = api.delete_user("bob", Some(SOON)).await.unwrap();
    of_bob.is_cut(removing, "a removal while the bus stores nothing").await;
    removed.success().unwrap();
    site.refuses(&alice).await;
    site.refuses(&bob).await;
    // What does not end access waits, and is not lost.
    api.create_user("meanwhile", None).await.unwrap().expect(201).unwrap();

    // nats-server stores nothing until it is restarted, also when there is room again.
    drop(filler);
    site.stack.stop_part(Part::Nats).await.unwrap();
    site.stack.start_part(Part::Nats).await.unwrap();
    let healthy = wait::until(SOON, "management to be healthy again", async || {
        health(&site).await.0 == "ok"
    });
    healthy.await.unwrap();
    Records::open(&site).await.agree(&site).await;
    site.all_synced(SOON).await;
    site.lets_in(&api.profile("meanwhile").await.unwrap()).await;
    site.refuses(&alice).await;
    site.refuses(&bob).await;
    witness.lost_nothing().await;
}

#[tokio::test]
async fn what_ends_access_does_not_wait_for_a_consumer_that_gives_nothing() {
    let Some(site) = Site::with_tunnels("paused consumers").await else {
        return;
    };
    let alice = site.create("alice").await;
    let visitor = site.visit(&alice).await;
    let bus = bus(&site).await;
    for node in site.stack.nodes() {
        let pause = format!("CONSUMER.PAUSE.VPN_COMMANDS.{}", node.id());
        let forever = json!({ "pause_until": "2100-01-01T00:00:00Z" });
        let paused: Response<Value> = bus.request(pause, &forever).await.unwrap();
        assert!(
            matches!(&paused, Response::Ok(answer) if answer["paused"] == true),
            "{paused:?}"
        );
    }
    let suspending = SystemTime::now();
    let suspend = json!({ "active": false });
    let suspended = site
        .stack
        .api()
        .change_user("alice", &suspend, Some(SOON))
        .await
        .unwrap();
    visitor
        .is_cut(suspending, "a suspension behind a paused consumer")
        .await;
    assert_eq!(suspended.success().unwrap().body["synced"], true);
}
