//! The disk of the bus is full: what ends access still ends it, everybody is told, and nothing is lost once there is room.

use std::{
    fs::{self, File},
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, SystemTime},
};

use async_nats::jetstream::response::Response;
use sea_orm::{ConnectionTrait as _, Statement};
use serde_json::{Value, json};
use vpnmanager_testbed::{net::require_tunnels, stack::Part, wait};

use super::{
    records::{Records, audited, common_name},
    small_disk::SmallDisk,
};
use crate::main_job::site::Site;

/// Enough for their acks to need more than a page.
const USERS: usize = 25;

/// A disk that becomes full again whenever nats-server gives something up, until it is dropped.
struct KeptFull {
    end: Arc<AtomicBool>,
    keeper: Option<JoinHandle<()>>,
}

impl KeptFull {
    fn of(disk: &SmallDisk) -> Self {
        let (filler, end) = (disk.fill(), Arc::new(AtomicBool::new(false)));
        let ended = end.clone();
        let keeper = thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                let mut file = File::options().append(true).open(&filler.path).unwrap();
                while file.write_all(&[0; 4096]).is_ok() {}
                thread::sleep(Duration::from_millis(20));
            }
        });
        Self {
            end,
            keeper: Some(keeper),
        }
    }
}

impl Drop for KeptFull {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        self.keeper.take().unwrap().join().unwrap();
    }
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
    let healthy = wait::until(wait::SOON, "management to be healthy", async || {
        health(&site).await.0 == "ok"
    });
    healthy.await.unwrap();
    site.create("before").await;

    let filler = disk.fill();
    let api = site.stack.api();
    let told = wait::until(wait::SOON, "/health to name the full disk", async || {
        let (status, problems) = health(&site).await;
        status == "degraded" && problems.contains("no space left on device") && problems.contains("restart it")
    });
    told.await.unwrap();
    let suspending = SystemTime::now();
    let suspended = api
        .change_user("alice", &json!({ "active": false }), Some(wait::SOON))
        .await
        .unwrap();
    of_alice
        .is_cut(suspending, "a suspension while the bus stores nothing")
        .await;
    assert_eq!(suspended.success().unwrap().body["synced"], true);
    let removing = SystemTime::now();
    let removed = api.delete_user("bob", Some(wait::SOON)).await.unwrap();
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
    let healthy = wait::until(wait::SOON, "management to be healthy again", async || {
        health(&site).await.0 == "ok"
    });
    healthy.await.unwrap();
    Records::open(&site).await.agree(&site).await;
    site.all_synced(wait::SOON).await;
    site.lets_in(&api.profile("meanwhile").await.unwrap()).await;
    site.refuses(&alice).await;
    site.refuses(&bob).await;
    witness.lost_nothing().await;
}

/// What the `/health` of a node says: status and detail.
async fn node_health(site: &Site, number: u8) -> (String, String) {
    let local = site.stack.node(number).unwrap().api();
    let Ok(answer) = local.get("/health").await else {
        return Default::default();
    };
    let text = |name: &str| answer.body[name].as_str().unwrap_or_default().to_owned();
    (text("status"), text("detail"))
}

async fn node_says(site: &Site, number: u8, what: &str, words: &[&str]) {
    let says = wait::until_ok(wait::SOON, format!("node {number} to say {what}"), async || {
        let (status, detail) = node_health(site, number).await;
        let is_said = status == what && words.iter().all(|word| detail.contains(word));
        is_said.then_some(()).ok_or(format!("{status}: {detail}"))
    });
    says.await.unwrap_or_else(|error| panic!("{error}"));
}

#[tokio::test]
async fn a_node_whose_reports_the_bus_does_not_store_says_so_until_it_does() {
    // Mounting a disk needs what tunnels need.
    if require_tunnels("reports that the bus does not store").is_none() {
        return;
    }
    let mut site = Site::without_tunnels(2).await;
    site.create_at("alice", "node-1").await;
    site.stack.stop_part(Part::Nats).await.unwrap();
    let disk = SmallDisk::over(&site.stack.state().dir.join("jetstream"));
    site.stack.start_part(Part::Nats).await.unwrap();
    for number in [1, 2] {
        node_says(&site, number, "ok", &[]).await;
    }
    // Commands that are in the stream and not taken yet. What fits into the last page of a file is still stored, so there are many.
    site.stack.stop_part(Part::Node(2)).await.unwrap();
    for number in 0..USERS {
        let user = json!({ "username": format!("user-{number}"), "server_id": "node-2" });
        let created = site.stack.api().create_user_as(&user, None).await.unwrap();
        created.expect(201).unwrap();
    }
    all_published(&site).await;

    let full = KeptFull::of(&disk);
    // Events, nearly as large as that page: somebody edits the allow-list again and again.
    let edited = common_name(&site, 1, "alice");
    let folder = site.stack.node(1).unwrap().allow_dir();
    let edit = || {
        let _missing = fs::remove_file(folder.join(&edited));
        for number in 0..60 {
            fs::write(folder.join(format!("intruder-{number:03}-{}", "x".repeat(50))), "").unwrap();
        }
    };
    let told = wait::until(wait::SOON, "node 1 to say that its events are not stored", async || {
        edit();
        let (status, detail) = node_health(&site, 1).await;
        status == "degraded" && detail.contains("no events since 20") && detail.contains("make room")
    });
    told.await.unwrap();
    // Acks.
    site.stack.start_part(Part::Node(2)).await.unwrap();
    node_says(&site, 2, "degraded", &["no acks since 20", "make room"]).await;
    for number in [1, 2] {
        let log = site.stack.node(number).unwrap().log();
        let lines = log.count("The bus does not take the reports of this node");
        assert!((1..=4).contains(&lines), "{lines} lines\n{}", log.tail());
    }

    drop(full);
    site.stack.stop_part(Part::Nats).await.unwrap();
    site.stack.start_part(Part::Nats).await.unwrap();
    for number in [1, 2] {
        node_says(&site, number, "ok", &[]).await;
        let log = site.stack.node(number).unwrap().log();
        log.wait_for("The bus takes the reports of this node again", 1, wait::SOON)
            .await
            .unwrap();
    }
    // A command whose ack was lost with the server comes again after the ack wait, or is published again after a minute.
    assert_eq!(site.all_synced(wait::SOON * 4).await, USERS + 1);
    let told = wait::until(wait::SOON, "the event in the trail", async || {
        let rows = audited(&site, "allow_list_repaired").await;
        rows.iter().any(|row| row.to_string().contains(&edited))
    });
    told.await.unwrap();
}

/// Waits until the stream holds every command.
async fn all_published(site: &Site) {
    let db = site.stack.connect_database().await.unwrap();
    let published = wait::until(wait::SOON, "the commands in the stream", async || {
        let unpublished = "SELECT 1 FROM placements WHERE published_revision < wanted_revision";
        let statement = Statement::from_string(db.get_database_backend(), unpublished);
        db.query_one_raw(statement).await.unwrap().is_none()
    });
    published.await.unwrap();
}

#[tokio::test]
async fn what_ends_access_does_not_wait_for_a_consumer_that_gives_nothing() {
    let Some(site) = Site::with_tunnels("paused consumers").await else {
        return;
    };
    let alice = site.create("alice").await;
    let visitor = site.visit(&alice).await;
    let bus = site.bus().await;
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
        .change_user("alice", &suspend, Some(wait::SOON))
        .await
        .unwrap();
    visitor
        .is_cut(suspending, "a suspension behind a paused consumer")
        .await;
    assert_eq!(suspended.success().unwrap().body["synced"], true);
}
