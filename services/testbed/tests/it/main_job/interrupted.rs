//! kill -9 of management, the bus or the agents in the middle of things: what was accepted happens, and nobody has to help.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rustix::process::Signal;
use serde_json::Value;
use vpnmanager_testbed::{
    api::Api,
    postgres::Durability,
    stack::{Part, StackOptions},
    wait,
};

use super::{
    profile,
    site::{Site, create_each},
};

const USERS: usize = 20;
const WRITERS: usize = 4;
const NODES: [u8; 2] = [1, 2];

/// A stack whose database keeps what it has promised, also when it is killed.
async fn durable() -> Site {
    Site::start(StackOptions {
        tunnels: Some(false),
        durability: Durability::Durable,
        ..StackOptions::default()
    })
    .await
}

/// Creates users and deletes one while the agents hold still, kills `parts`, and lets everything go on.
async fn kill_between_create_and_ack(parts: &[Part]) {
    let mut site = durable().await;
    let api = site.stack.api();
    site.create("first").await;
    let agents = NODES.map(|number| site.stack.process(Part::Node(number)).unwrap());
    agents.iter().for_each(|agent| agent.signal(Signal::STOP));
    // All at once: what an agent has asked the bus for ends after a while, and it asks for nothing while it holds still.
    let names: Vec<String> = (0..USERS).map(|number| format!("user-{number}")).collect();
    for created in join_all(names.iter().map(|name| api.create_user(name, None))).await {
        assert_eq!(created.unwrap().expect(201).unwrap().body["synced"], false);
    }
    api.delete_user("first", None).await.unwrap().success().unwrap();
    commands_are_under_way(&site, (USERS + 1) * NODES.len()).await;

    for part in parts {
        site.stack.kill_part(*part).await.unwrap();
    }
    agents.iter().for_each(|agent| agent.signal(Signal::CONT));
    let began = Instant::now();
    for part in parts {
        site.stack.start_part(*part).await.unwrap();
    }

    assert_eq!(site.all_synced(wait::SOON).await, USERS);
    site.forgets("first").await;
    eprintln!(
        "measured: all synced {} ms after a kill of {parts:?}",
        began.elapsed().as_millis()
    );
    for number in 0..USERS {
        // A node that has only now found the bus again is asked again.
        let name = format!("user-{number}");
        let fetched = wait::until_ok(wait::SOON, "the profile", async || api.profile(&name).await);
        profile::assert_complete(&fetched.await.unwrap(), NODES.len());
    }
}

/// Waits until the bus has given so many commands to the agents, which have not answered them.
async fn commands_are_under_way(site: &Site, commands: usize) {
    let monitor = Api::new(site.stack.state().nats_monitor_url(), None);
    let given = wait::until_ok(wait::SOON, "the commands to be given to the agents", async || {
        let answer = monitor
            .get("/jsz?accounts=1&streams=1&consumers=1")
            .await
            .map_err(|error| error.to_string())?;
        let given: u64 = ack_pending(&answer.body).iter().sum();
        if given as usize >= commands {
            Ok(())
        } else {
            Err(format!("{given} of {commands}"))
        }
    });
    given.await.unwrap();
}

/// `num_ack_pending` of every consumer of a node in the server's account of itself.
fn ack_pending(jsz: &Value) -> Vec<u64> {
    let list = |value: &Value, name: &str| value[name].as_array().cloned().unwrap_or_default();
    let accounts = list(jsz, "account_details");
    let streams = accounts.iter().flat_map(|account| list(account, "stream_detail"));
    let consumers = streams.flat_map(|stream| list(&stream, "consumer_detail"));
    let of_nodes = consumers.filter(|consumer| consumer["name"].as_str().is_some_and(|name| name.starts_with("node-")));
    of_nodes
        .filter_map(|consumer| consumer["num_ack_pending"].as_u64())
        .collect()
}

#[tokio::test]
async fn management_killed_between_create_and_ack_loses_nothing() {
    kill_between_create_and_ack(&[Part::Management]).await;
}

#[tokio::test]
async fn the_bus_killed_between_create_and_ack_loses_nothing() {
    kill_between_create_and_ack(&[Part::Nats]).await;
}

#[tokio::test]
async fn the_database_killed_between_create_and_ack_loses_nothing() {
    kill_between_create_and_ack(&[Part::Postgres]).await;
}

#[tokio::test]
async fn agents_killed_with_commands_in_their_hands_apply_them_as_they_return() {
    kill_between_create_and_ack(&NODES.map(Part::Node)).await;
}

#[tokio::test]
async fn everything_killed_between_create_and_ack_loses_nothing() {
    kill_between_create_and_ack(&[
        Part::Postgres,
        Part::Nats,
        Part::Management,
        Part::Node(1),
        Part::Node(2),
    ])
    .await;
}

#[tokio::test]
async fn creates_survive_a_series_of_kills() {
    let mut site = durable().await;
    let api = site.stack.api();
    let mut accepted = Vec::new();
    let parts = [
        Part::Nats,
        Part::Node(1),
        Part::Management,
        Part::Node(2),
        Part::Postgres,
    ];
    for (round, part) in parts.into_iter().enumerate() {
        let writers = (0..WRITERS).map(|writer| {
            let writer = round * WRITERS + writer;
            let names = (0..10).map(move |number| format!("writer-{writer}.{number}"));
            create_each(api.clone(), names)
        });
        let kill = async {
            // In the middle of the writing; what exactly is hit differs from run to run.
            tokio::time::sleep(Duration::from_millis(fastrand::u64(10..150))).await;
            site.stack.kill_part(part).await.unwrap();
            site.stack.start_part(part).await.unwrap();
        };
        let (names, ()) = tokio::join!(join_all(writers), kill);
        accepted.extend(names.into_iter().flatten());
    }
    eprintln!("measured: {} creates were accepted during five kills", accepted.len());

    let began = Instant::now();
    let listed = site.all_synced(wait::SOON).await;
    eprintln!(
        "measured: all synced {} ms after the last kill",
        began.elapsed().as_millis()
    );
    assert!(listed >= accepted.len(), "{listed} listed, {} accepted", accepted.len());
    for username in &accepted {
        profile::assert_complete(&api.profile(username).await.unwrap(), NODES.len());
    }
}
