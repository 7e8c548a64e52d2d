//! What is in the stream and not acked when management dies.

use futures_util::TryStreamExt as _;
use vpnmanager_testbed::{
    postgres::Durability,
    stack::{Part, StackOptions},
    wait,
};

use super::records::{Records, audited};
use crate::main_job::site::Site;

const USERS: usize = 10;
const NODES: [u8; 2] = [1, 2];
const UNRECORDED: &str = "placements WHERE published_revision < wanted_revision";
/// From here on what management records of its publications waits until the lock is free.
const HOLD_RECORDS: &str = "
    CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NEW; END $$;
    CREATE TRIGGER hold BEFORE UPDATE OF published_revision ON placements FOR EACH ROW EXECUTE FUNCTION hold();
    SELECT pg_advisory_lock(1)";
/// What waits is ended, as the connections of a machine that died are.
const DROP_RECORDS: &str = "
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'advisory';
    SELECT pg_advisory_unlock(1);
    DROP TRIGGER hold ON placements";

/// A stack whose agents are away.
struct Scene {
    site: Site,
    records: Records,
    /// How far the stream of commands goes.
    sequence: u64,
}

impl Scene {
    async fn set() -> Self {
        let mut site = Site::start(StackOptions {
            tunnels: Some(false),
            durability: Durability::Durable,
            // What is counted here is commands.
            management_env: vec![("HEALTH_STORAGE_PROBE".to_owned(), "1day".to_owned())],
            ..StackOptions::default()
        })
        .await;
        site.create("suspended").await;
        site.create("gone").await;
        let records = Records::open(&site).await;
        for number in NODES {
            site.stack.stop_part(Part::Node(number)).await.unwrap();
        }
        let sequence = last_sequence(&site, "VPN_COMMANDS").await;
        Self {
            site,
            records,
            sequence,
        }
    }

    /// Creates, a suspend and a delete.
    async fn promise(&mut self) {
        let api = self.site.stack.api();
        for number in 0..USERS {
            let created = api.create_user(&format!("user-{number}"), None).await.unwrap();
            created.expect(201).unwrap();
        }
        let suspend = serde_json::json!({ "active": false });
        let suspended = api.change_user("suspended", &suspend, None).await.unwrap();
        suspended.success().unwrap();
        api.delete_user("gone", None).await.unwrap().success().unwrap();
        self.sequence += ((USERS + 2) * NODES.len()) as u64;
    }

    async fn stream_reaches(&self, stream: &str, sequence: u64) {
        let published =
            wait::until_ok(
                wait::SOON,
                format!("{stream} to reach {sequence}"),
                async || match last_sequence(&self.site, stream).await {
                    found if found >= sequence => Ok(()),
                    found => Err(found),
                },
            );
        published.await.unwrap();
    }

    /// Panics unless all of it comes true, each command went out once, each certificate was made once and each change was audited once.
    async fn comes_true_once(self) {
        let Self {
            site,
            records,
            sequence,
        } = self;
        site.forgets("gone").await;
        assert_eq!(site.all_synced(wait::SOON).await, USERS + 1);
        records.agree(&site).await;
        // The removal also goes to each node directly. When a node has acked it that way, its tombstone is deleted from the stream, and the
        // publisher may be about to store it once more.
        let again = last_sequence(&site, "VPN_COMMANDS").await - sequence;
        assert!(again <= NODES.len() as u64, "{again} commands were published again");
        assert_eq!(records.serials().await.len(), USERS + 2, "one certificate each");
        for (action, rows) in [("user_created", USERS + 2), ("user_suspended", 1), ("user_removed", 1)] {
            assert_eq!(audited(&site, action).await.len(), rows, "{action}");
        }
        for number in 0..USERS {
            site.stack.api().profile(&format!("user-{number}")).await.unwrap();
        }
    }
}

/// How many messages the streams whose names begin so have ever held.
async fn last_sequence(site: &Site, streams: &str) -> u64 {
    let mut all = site.bus().await.streams();
    let mut sum = 0;
    while let Some(stream) = all.try_next().await.unwrap() {
        if stream.config.name.starts_with(streams) {
            sum += stream.state.last_sequence;
        }
    }
    sum
}

#[tokio::test]
async fn management_killed_between_publish_and_ack_settles_everything_once() {
    let mut scene = Scene::set().await;
    scene.promise().await;
    scene.stream_reaches("VPN_COMMANDS", scene.sequence).await;
    let recorded = async || scene.records.count(UNRECORDED).await == 0;
    wait::until(wait::SOON, "the publications to be recorded", recorded)
        .await
        .unwrap();
    let events = last_sequence(&scene.site, "VPN_EVENTS_").await;
    let Scene { site, .. } = &mut scene;

    site.stack.kill_part(Part::Management).await.unwrap();
    for number in NODES {
        site.stack.start_part(Part::Node(number)).await.unwrap();
    }
    // Each user's standby, and both nodes for the two that were there before. A home needs management to sign.
    let acks = (USERS + 2 * NODES.len()) as u64;
    scene.stream_reaches("VPN_EVENTS_", events + acks).await;
    scene.site.stack.start_part(Part::Management).await.unwrap();

    scene.comes_true_once().await;
}

#[tokio::test]
async fn management_killed_before_it_recorded_what_it_published_settles_everything_once() {
    let mut scene = Scene::set().await;
    scene.records.change(HOLD_RECORDS).await;
    let before = scene.sequence;
    scene.promise().await;
    // The first create is in the stream on both nodes; the others wait until that is recorded.
    scene.stream_reaches("VPN_COMMANDS", before + NODES.len() as u64).await;
    assert!(scene.records.count(UNRECORDED).await > 0);

    scene.site.stack.kill_part(Part::Management).await.unwrap();
    scene.records.change(DROP_RECORDS).await;
    assert!(
        scene.records.count(UNRECORDED).await > 0,
        "it was recorded all the same"
    );
    for part in [Part::Management, Part::Node(1), Part::Node(2)] {
        scene.site.stack.start_part(part).await.unwrap();
    }

    scene.comes_true_once().await;
}
