//! A node that joins: who stands on too few nodes gets it as a standby, and nobody else is moved.

use std::collections::BTreeMap;

use futures_util::{StreamExt, stream};
use serde_json::Value;
use vpnmanager_testbed::{stack::StackOptions, wait};

use crate::main_job::{profile, site::Site};

const USERS: usize = 200;
const LATER: usize = 100;
const AT_ONCE: usize = 16;

async fn nodes(nodes: u8, replicas: u8) -> Site {
    Site::start(StackOptions {
        nodes,
        tunnels: Some(false),
        management_env: vec![("PLACEMENT_REPLICAS".to_owned(), replicas.to_string())],
        ..StackOptions::default()
    })
    .await
}

/// Where each user stands: its home, then its standbys in order.
async fn places(site: &Site) -> BTreeMap<String, Vec<String>> {
    let users = site
        .stack
        .api()
        .users("?limit=1000")
        .await
        .unwrap()
        .expect(200)
        .unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let place = |user: &Value| {
        let home = text(&user["server_id"]);
        let mut standbys: Vec<String> = user["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|node| text(&node["server_id"]))
            .collect();
        standbys.retain(|node| *node != home);
        standbys.sort();
        standbys.insert(0, home);
        (text(&user["username"]), standbys)
    };
    users.items().iter().map(place).collect()
}

async fn create(site: &Site, prefix: &str, users: usize) {
    let api = site.stack.api();
    stream::iter(0..users)
        .for_each_concurrent(AT_ONCE, async |number| {
            let created = api
                .create_user(&format!("{prefix}-{number}"), Some(wait::SOON))
                .await
                .unwrap();
            created.expect(201).unwrap();
        })
        .await;
}

#[tokio::test]
async fn who_stands_on_enough_nodes_stays_and_the_new_node_gets_its_share_of_newcomers() {
    let mut site = nodes(3, 2).await;
    create(&site, "early", USERS).await;
    let before = places(&site).await;
    assert!(before.values().all(|nodes| nodes.len() == 2), "{before:?}");

    site.stack.add_node(4).await.unwrap();
    create(&site, "late", LATER).await;

    assert_eq!(site.all_synced(wait::SOON).await, USERS + LATER);
    let mut after = places(&site).await;
    let newcomers = after.split_off("late");
    assert_eq!(after, before, "somebody was moved");
    let count = |role: &str, is_there: &dyn Fn(&Vec<String>) -> bool| {
        let there = newcomers.values().filter(|nodes| is_there(nodes)).count();
        eprintln!("measured: node-4 is {role} of {there} of {LATER} newcomers");
        there
    };
    // A quarter is its share of homes; 10 and 45 are farther than 3.4 standard deviations from it.
    let homes = count("the home", &|nodes| nodes[0] == "node-4");
    assert!((10..45).contains(&homes), "{homes}");
    let standbys = count("a standby", &|nodes| nodes[1] == "node-4");
    assert!((10..45).contains(&standbys), "{standbys}");
}

#[tokio::test]
async fn who_stands_on_too_few_nodes_gets_the_new_one_as_a_standby_with_the_same_key() {
    let mut site = nodes(2, 3).await;
    create(&site, "user", USERS).await;
    let before = places(&site).await;
    let api = site.stack.api();
    let text = api.profile("user-0").await.unwrap();

    site.stack.add_node(3).await.unwrap();

    let everywhere = async || places(&site).await.values().all(|nodes| nodes.len() == 3);
    wait::until(wait::SOON, "all users to stand on node-3 too", everywhere)
        .await
        .unwrap();
    assert_eq!(site.all_synced(wait::SOON).await, USERS);
    for (name, nodes) in places(&site).await {
        assert_eq!(nodes[0], before[&name][0], "the home of {name} moved");
    }
    let named = wait::until_ok(wait::SOON, "the profile to name node-3", async || {
        let text = api.profile("user-0").await.map_err(|error| error.to_string())?;
        if profile::remotes(&text).len() == 3 {
            Ok(text)
        } else {
            Err(text)
        }
    });
    let named = named.await.unwrap();
    assert_eq!(profile::block(&named, "key"), profile::block(&text, "key"));
    assert_eq!(
        profile::remotes(&named)[0],
        profile::remotes(&text)[0],
        "the home comes first"
    );
    let placed = api.audit("?action=user_placed&limit=1000").await.unwrap();
    assert_eq!(placed.items().len(), USERS, "each placement is audited");
}
