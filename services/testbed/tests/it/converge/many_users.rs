//! A node with many users starts again.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use vpnmanager_testbed::{
    stack::{Part, StackOptions},
    wait,
};

use super::records::{Records, allow_list};
use crate::main_job::site::Site;

const USERS: usize = 4_000;
const AT_ONCE: usize = 32;

#[tokio::test]
async fn an_agent_with_many_users_serves_at_once_and_issues_nothing_again() {
    if vpnmanager_testbed::net::require_tunnels("many users").is_none() {
        return;
    }
    let mut site = Site::start(StackOptions {
        nodes: 1,
        ..StackOptions::default()
    })
    .await;
    let api = site.stack.api();
    let began = Instant::now();
    stream::iter(0..USERS)
        .for_each_concurrent(AT_ONCE, async |number| {
            let created = api.create_user(&format!("user-{number}"), None).await.unwrap();
            created.expect(201).unwrap();
        })
        .await;
    let records = Records::open(&site).await;
    records.agree(&site).await;
    eprintln!("measured: {USERS} users after {} ms", began.elapsed().as_millis());
    let issued = records.serials().await;
    let alice = site.create("alice").await;
    let witness = site.visit(&alice).await;
    let openvpn = site.stack.process(Part::Openvpn(1)).unwrap();

    site.stack.kill_part(Part::Node(1)).await.unwrap();
    let began = Instant::now();
    drop(site.stack.launch_part(Part::Node(1)).unwrap());
    let local = site.stack.node(1).unwrap().api();
    let serving = async || {
        let known = local.get("/api/users/user-7").await;
        known.is_ok_and(|answer| answer.body["state"] == "applied")
    };
    let took = wait::until(Duration::from_secs(30), "the agent to serve", serving)
        .await
        .unwrap();

    eprintln!(
        "measured: serving {} ms after the agent's start began",
        took.as_millis()
    );
    site.create("bob").await;
    eprintln!(
        "measured: the next user was applied {} ms after it",
        began.elapsed().as_millis()
    );
    assert_eq!(
        site.stack.process(Part::Openvpn(1)),
        Some(openvpn),
        "OpenVPN was started anew"
    );
    records.agree(&site).await;
    assert_eq!(allow_list(&site, 1).len(), USERS + 2);
    let after = records.serials().await;
    assert!(
        issued.iter().all(|(name, serial)| after[name] == *serial),
        "issued again"
    );
    assert_eq!(after.len(), USERS + 2);
    witness.lost_nothing().await;

    // The whole node: OpenVPN too.
    site.stack.kill_part(Part::Node(1)).await.unwrap();
    site.stack.kill_part(Part::Openvpn(1)).await.unwrap();
    drop(site.stack.launch_part(Part::Node(1)).unwrap());
    let began = Instant::now();
    let up = async || site.stack.process(Part::Openvpn(1)).is_some();
    let took = wait::until(Duration::from_secs(30), "OpenVPN to run", up)
        .await
        .unwrap();
    eprintln!(
        "measured: OpenVPN was started {} ms after the agent's start began",
        took.as_millis()
    );
    site.lets_in(&alice).await;
    eprintln!("measured: a client was let in after {} ms", began.elapsed().as_millis());
    assert_eq!(records.serials().await, after);
}
