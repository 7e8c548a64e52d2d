//! A bus credential that ends while it is used: no hot loop, the VPN goes on, and management gives a fresh one.

use std::{fs, path::Path, time::Duration};

use chrono::Utc;
use data_encoding::BASE64URL_NOPAD;
use nkeys::KeyPair;
use serde_json::{Value, json};
use tokio::time::Instant;
use vpnmanager_testbed::{
    api::Api,
    process::Identity,
    stack::{Part, Stack},
    wait,
};

use crate::main_job::site::{Site, nodes::agent_when};

/// Long enough for the agent to start and connect.
const ENDS_AFTER: i64 = 8;
/// Ticks of the clock in which the kernel counts a process's work, in one second.
const TICKS: u64 = 100;

/// Lets the credential of a node's state folder end at this moment, signed as management signs.
fn let_end(state: &Path, bus_dir: &Path, at: i64) {
    let seed = fs::read_to_string(bus_dir.join("nodes-signing.nk")).unwrap();
    let signer = KeyPair::from_seed(seed.trim()).unwrap();
    let file = state.join("identity.json");
    let mut identity: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let jwt = identity["bus_jwt"].as_str().unwrap().to_owned();
    let [header, claims, _] = jwt.split('.').collect::<Vec<_>>()[..] else {
        panic!("no JWT");
    };
    let mut claims: Value = serde_json::from_slice(&BASE64URL_NOPAD.decode(claims.as_bytes()).unwrap()).unwrap();
    claims["exp"] = json!(at);
    let signed = format!("{header}.{}", BASE64URL_NOPAD.encode(claims.to_string().as_bytes()));
    let signature = signer.sign(signed.as_bytes()).unwrap();
    identity["bus_jwt"] = json!(format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature)));
    fs::write(&file, identity.to_string()).unwrap();
}

/// Connections that the bus was ever asked for.
async fn connections(stack: &Stack) -> u64 {
    let monitor = Api::new(format!("http://127.0.0.1:{}", stack.state().nats_monitor_port), None);
    let varz = monitor.get("/varz").await.unwrap();
    varz.body["total_connections"].as_u64().unwrap()
}

/// What the process has worked so far.
fn worked(process: Identity) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.pid)).unwrap();
    let after_name = stat.rsplit_once(") ").unwrap().1;
    let fields: Vec<u64> = after_name
        .split(' ')
        .skip(11)
        .take(2)
        .map(|field| field.parse().unwrap())
        .collect();
    Duration::from_millis((fields[0] + fields[1]) * 1000 / TICKS)
}

#[tokio::test]
async fn an_agent_whose_credential_ends_does_not_hammer_the_bus_and_gets_a_fresh_one() {
    let Some(mut site) = Site::with_tunnels("credential ends").await else {
        return;
    };
    let witness = site.witness().await;
    let alice = site.create("alice").await;
    site.stack.kill_part(Part::Node(1)).await.unwrap();
    let state = site.stack.node(1).unwrap().dir();
    let ends = Utc::now().timestamp() + ENDS_AFTER;
    let_end(&state, site.stack.nats_creds().parent().unwrap(), ends);
    site.stack.start_part(Part::Node(1)).await.unwrap();
    let local = site.stack.node(1).unwrap().api();
    let connected = async |wanted: bool| {
        let is_so = |health: &Value| health["bus_connected"] == wanted;
        agent_when(&local, format_args!("the connection to be {wanted}"), is_so).await;
    };
    connected(true).await;
    // Nobody is there to give another one.
    site.stack.stop_part(Part::Management).await.unwrap();
    connected(false).await;
    assert!(Utc::now().timestamp() >= ends, "it was thrown out for another reason");

    let agent = site.stack.node(1).unwrap().agent().unwrap();
    let (began, before, work) = (Instant::now(), connections(&site.stack).await, worked(agent));
    let tried = async || connections(&site.stack).await >= before + 12;
    wait::until(3 * wait::SOON, "twelve tries", tried).await.unwrap();
    let (took, work) = (began.elapsed(), worked(agent).saturating_sub(work));
    eprintln!(
        "measured: twelve tries in {} ms, with {} ms of work",
        took.as_millis(),
        work.as_millis()
    );
    // Two of them may be the watch's, and some were before the count: pauses double up to 5 s, each at least half of it.
    assert!(took >= Duration::from_secs(3), "twelve tries in {took:?}");
    assert!(work < took / 4, "{work:?} of work in {took:?}");
    site.lets_in(&alice).await;

    site.stack.start_part(Part::Management).await.unwrap();
    let back = Instant::now();
    connected(true).await;
    eprintln!(
        "measured: connected again {} ms after management was back",
        back.elapsed().as_millis()
    );
    site.create("bob").await;
    // It was saved.
    site.stack.kill_part(Part::Node(1)).await.unwrap();
    site.stack.start_part(Part::Node(1)).await.unwrap();
    connected(true).await;
    witness.lost_nothing().await;
}
