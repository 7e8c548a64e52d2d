//! The page followed from its first command to its last, with clients connected all the time.

use std::{
    fs,
    time::{Duration, SystemTime},
};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};
use vpnmanager_testbed::{stack::Connection, wait};

use super::{
    page::{Page, settings_in},
    scene::{NODES, Scene},
};
use crate::main_job::{network::inner_address, site::Visitor};

/// Alice's address at the first old server.
const FIXED: &str = "10.8.0.50";
/// How often the old servers are restarted to see what that costs.
const RESTARTS: usize = 3;
/// A client looks at its timers once a second, so the same outage may cost it a second more. Beside other tests it may cost a further try.
const CLIENT_TIMERS: Duration = Duration::from_secs(1);
/// Where old profiles dial.
const OLD_LISTENER: &str = "udp:1194";

/// Profiles of before.
struct Profiles {
    alice: String,
    bob: String,
    /// Suspended in the old database, which its server does not look at.
    paul: String,
    /// Her first certificate was revoked, and she has another one.
    rosas_first: String,
    rosa: String,
    /// Revoked.
    rita: String,
    /// Ended in 2020.
    ed: String,
    /// Of the second server.
    nora: String,
}

/// Alice is a user of both servers.
fn issue(scene: &mut Scene) -> Profiles {
    let second = scene.old(2);
    second.pki.client("alice");
    let nora = second.pki.client("nora");
    let nora = second.profile(&nora);

    let first = scene.old(1);
    let [alice, bob, paul, rosas_first, rita] =
        ["alice", "bob", "paul", "rosa", "rita"].map(|name| first.profile(&first.pki.client(name)));
    first.pki.revoke("rosa");
    first.pki.revoke("rita");
    let rosa = first.profile(&first.pki.client("rosa"));
    let ed = first.profile(&first.pki.ended_client("ed"));
    first.publish_revoked();
    first.tell("alice", &format!("ifconfig-push {FIXED} 255.255.255.0"));
    first.make_database(&[
        ("alice", true),
        ("bob", true),
        ("paul", false),
        ("rosa", true),
        ("rita", false),
        ("ed", true),
    ]);
    Profiles {
        alice,
        bob,
        paul,
        rosas_first,
        rosa,
        rita,
        ed,
        nora,
    }
}

/// Waits until the client is connected once more than `before`, and gets answers.
async fn is_back(visitor: &Visitor, before: usize) {
    let client = &visitor.connection.client;
    client.connected_times(before + 1, wait::SOON).await.unwrap();
    visitor.pings.flows(10, wait::SOON).await.unwrap();
}

/// Ends the stream of pings, and gives its longest gap.
async fn longest_gap(visitor: Visitor) -> (Connection, Duration) {
    let Visitor { connection, pings } = visitor;
    (connection, pings.stop().await.longest_gap)
}

/// What one planned restart of the old server of this node costs its client: the longest of some.
async fn floor_of(scene: &mut Scene, node: u8, visitor: Visitor) -> (Connection, Duration) {
    for _ in 0..RESTARTS {
        let before = visitor.connection.client.connections();
        let old = scene.old(node);
        old.stop().await;
        old.start().await;
        is_back(&visitor, before).await;
    }
    longest_gap(visitor).await
}

/// The agent names each line that step 7 gives.
async fn lines_are_named(scene: &Scene, node: u8) {
    let log = scene.site.agent_log(node);
    for option in ["client-config-dir ", "ccd-exclusive", "crl-verify ", "management "] {
        log.wait_for(&format!("`{option}"), 1, wait::SOON).await.unwrap();
    }
}

/// Her session at an old listener is seen.
async fn is_seen(scene: &Scene, username: &str) {
    let api = scene.site.stack.api();
    wait::until_ok(wait::SOON, "the session at the old listener", async || {
        let answer = api.get(&format!("/api/sessions?username={username}")).await;
        let answer = answer.and_then(|answer| answer.expect(200));
        let answer = answer.map_err(|error| error.to_string())?;
        let is_there = |session: &Value| session["listener"] == OLD_LISTENER;
        match answer.items().iter().any(is_there) {
            true => Ok(()),
            false => Err(answer.text),
        }
    })
    .await
    .unwrap();
}

async fn users(scene: &Scene) -> usize {
    let users = scene.site.stack.api().users("").await.unwrap().expect(200).unwrap();
    users.items().len()
}

#[tokio::test]
async fn a_fleet_is_adopted_by_the_page_and_its_clients_lose_no_more_than_one_restart_costs() {
    let mut page = Page::read();
    let settings = settings_in(page.ahead("4"));
    let Some(mut scene) = Scene::set("adopt", settings).await else {
        return;
    };
    let profiles = issue(&mut scene);
    for node in NODES {
        scene.old(node).start().await;
    }
    let alice = scene.site.visit(&profiles.alice).await;
    let nora = scene.site.visit(&profiles.nora).await;
    let mut bob = scene.site.visit(&profiles.bob).await;
    assert_eq!(inner_address(&alice.connection).await, FIXED);
    let paul = scene.site.connect(&profiles.paul).await;
    paul.close().await;
    scene.keeps_out(1, "rita, who is revoked", &profiles.rita).await;
    let bobs = bob.connection.client.connections();
    let (alice, alices_floor) = floor_of(&mut scene, 1, alice).await;
    is_back(&bob, bobs).await;
    let (nora, noras_floor) = floor_of(&mut scene, 2, nora).await;

    // From here on one stream each, to the end of the adoption.
    let alice = Visitor::begin(alice).await;
    let nora = Visitor::begin(nora).await;
    scene.at_management(&page.next("1"));
    let saved = scene.at_management("tar -tzf node-1.tar.gz");
    assert!(saved.contains("openvpn/users.db") && !saved.contains(".key"), "{saved}");
    // The stack has set up PostgreSQL; `make quick-start` follows that.
    page.next("2");
    scene.at_management(&page.next("3"));
    let token = scene.at_management(&page.next("4"));
    assert!(token.contains("vpnjoin-"), "{token}");
    // The agents have these settings from their first start on.
    page.next("4");
    for node in NODES {
        scene.enrol(node).await;
    }

    let import = page.next("5");
    let trial = scene.at_management(&import);
    assert!(trial.contains("This was a trial: nothing was changed."), "{trial}");
    assert_eq!(users(&scene).await, 0, "{trial}");
    let told = scene.at_management(&import.replace(" --dry-run", ""));
    for counts in [
        "created 4, joined 0, changed 0, unchanged 0, conflict 0, skipped 2; 4 old certificates",
        "created 1, joined 1, changed 0, unchanged 0, conflict 0, skipped 0; 2 old certificates",
    ] {
        assert!(told.contains(counts), "{told}");
    }
    let again = scene.at_management(&import.replace(" --dry-run", ""));
    assert!(again.contains("created 0, joined 0, changed 0, unchanged 4"), "{again}");
    let unsynced = page.next("6");
    let all_synced = async || {
        let said: Value = serde_json::from_str(&scene.at_management(&unsynced)).unwrap();
        said["items"] == json!([])
    };
    wait::until(wait::SOON, "all users to be synced", all_synced)
        .await
        .unwrap();
    assert_eq!(users(&scene).await, 5);

    for visitor in [&alice, &nora, &bob] {
        visitor.pings.flows(5, wait::SOON).await.unwrap();
    }
    assert_eq!(
        alice.pings.stats().lost,
        Vec::<u64>::new(),
        "before the planned restart"
    );
    let step = page.next("7");
    let before = [&alice, &nora, &bob].map(|visitor| visitor.connection.client.connections());
    for node in NODES {
        lines_are_named(&scene, node).await;
        scene.at_node(node, &step).await;
    }
    for (visitor, before) in [&alice, &nora, &bob].into_iter().zip(before) {
        is_back(visitor, before).await;
    }
    for node in NODES {
        scene.is_well(node).await;
    }
    assert_eq!(inner_address(&alice.connection).await, FIXED);
    for username in ["alice", "nora"] {
        is_seen(&scene, username).await;
    }
    scene
        .keeps_out(1, "paul, who is suspended in the old database", &profiles.paul)
        .await;

    let began = SystemTime::now();
    scene.site.change("bob", &json!({ "active": false })).await;
    bob.is_cut(began, "active=false at an operator's old server").await;
    bob.is_turned_away().await;
    scene.site.change("bob", &json!({ "active": true })).await;
    bob.connection.client.restart().await.unwrap();
    bob.connection.client.connected(wait::SOON).await.unwrap();
    bob.pings = bob.connection.pings().unwrap();
    let listed = scene.at_management(&page.next("7"));
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let nodes: Vec<&Value> = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["server_id"])
        .collect();
    assert_eq!(nodes, ["node-1", "node-2"], "{listed}");

    let managed = settings_in(&page.next("Have the agent run the old server"));
    let restart = page.next("Have the agent run the old server");
    let stop = page.next("Have the agent run the old server");
    for (node, visitors) in [(1, vec![&alice, &bob]), (2, vec![&nora])] {
        scene.tell_agent(node, managed.clone());
        scene.at_node(node, &restart).await;
        scene.agent_waits_for_old(node).await;
        let before: Vec<usize> = visitors
            .iter()
            .map(|visitor| visitor.connection.client.connections())
            .collect();
        scene.at_node(node, &stop).await;
        for (visitor, before) in visitors.into_iter().zip(before) {
            is_back(visitor, before).await;
        }
    }
    for node in NODES {
        scene.is_well(node).await;
        assert!(scene.old_of_agent(node).is_some(), "the agent runs none");
        assert!(!scene.old(node).is_running(), "the operator's runs still");
    }
    assert_eq!(inner_address(&alice.connection).await, FIXED);
    let mut visitors = Vec::new();
    for (name, visitor, floor) in [("alice", alice, alices_floor), ("nora", nora, noras_floor)] {
        let (connection, gap) = longest_gap(visitor).await;
        eprintln!(
            "measured: {name} was without answers for {} ms at most while her server was adopted; a planned restart before cost {} ms at most",
            gap.as_millis(),
            floor.as_millis()
        );
        assert!(
            gap <= wait::under_load(floor + CLIENT_TIMERS),
            "{name}: {gap:?}, and a restart {floor:?} at most"
        );
        visitors.push(Visitor::begin(connection).await);
    }
    let nora = visitors.pop().unwrap();
    let mut alice = visitors.pop().unwrap();
    for (who, profile) in [
        ("rita, who is revoked", &profiles.rita),
        ("rosa with the certificate that is revoked", &profiles.rosas_first),
        ("ed, whose certificate has ended", &profiles.ed),
        ("paul, who is suspended", &profiles.paul),
    ] {
        scene.keeps_out(1, who, profile).await;
    }
    scene.site.connect(&profiles.rosa).await.close().await;

    let tried = scene.at_node(1, &page.next("Sources")).await;
    let tried: Value = serde_json::from_str(&tried).unwrap();
    assert_eq!(tried["counts"]["created"], 0, "{tried}");
    assert_eq!(tried["counts"]["unchanged"], 4, "{tried}");

    let text = scene.site.stack.api().profile("alice").await.unwrap();
    let hers = scene.site.visit(&text).await;
    let began = SystemTime::now();
    scene.at_management(&page.next("Move users to new profiles"));
    alice.is_cut(began, "the end of her old certificate").await;
    alice.is_turned_away().await;
    ends_by_itself(&scene, &nora).await;
    hers.lost_nothing().await;

    scene.at_management(&page.next("The way back"));
    let index = fs::read_to_string(scene.file("way-back/pki/index.txt")).unwrap();
    let is_line = |line: &str| line.split('\t').count() == 6 && line.contains("/CN=");
    assert!(index.lines().count() >= 4 && index.lines().all(is_line), "{index}");
    let list = fs::read_to_string(scene.file("way-back/users.csv")).unwrap();
    assert!(list.contains("\r\nnora,true,"), "{list}");

    let taken_away = ["OLD_SERVER_CONF", "OLD_SERVER"].map(|name| (name.to_owned(), String::new()));
    scene.tell_agent(2, taken_away.to_vec());
    scene.at_node(2, &page.next("The way back")).await;
    wait::until(wait::SOON, "the agent's old OpenVPN to end", async || {
        scene.old_of_agent(2).is_none()
    })
    .await
    .unwrap();
    scene.at_node(2, &page.next("The way back")).await;
    scene.site.visit(&profiles.nora).await.connection.close().await;
    page.end();
}

/// A certificate ends at a time of its own, while its user has access.
async fn ends_by_itself(scene: &Scene, nora: &Visitor) {
    let end = DateTime::from_timestamp((Utc::now() + TimeDelta::seconds(4)).timestamp(), 0).unwrap();
    let change = json!({ "expires_at": end.to_rfc3339_opts(SecondsFormat::Secs, true) });
    let path = "/api/users/nora/old-certificates/node-2/nora";
    let changed = scene.site.stack.api().patch(path, &change).await.unwrap();
    changed.expect(200).unwrap();
    nora.is_cut(end.into(), "the time of her old certificate").await;
}
