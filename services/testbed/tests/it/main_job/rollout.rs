//! OpenVPN is restarted on all nodes of a pool while a client goes on.

use serde_json::{Value, json};
use vpnmanager_testbed::{stack::Part, wait};

use super::{
    profile,
    site::{HEARD, MOVED, Site, reached},
};

const PATH: &str = "/api/pools/default/rollout";

/// Of each OpenVPN of both nodes.
fn pids(site: &Site) -> Vec<i32> {
    let processes = [1, 2].map(|number| site.stack.processes(Part::Openvpn(number)));
    processes.iter().flatten().map(|process| process.pid).collect()
}

#[tokio::test]
async fn both_nodes_are_restarted_and_a_client_is_moved_and_not_cut_off() {
    let Some(site) = Site::with_tunnels("rollout").await else {
        return;
    };
    let api = site.stack.api();
    let text = site.create_at("alice", "node-1").await;
    let hosts: Vec<String> = profile::hosts(&text).into_iter().map(ToOwned::to_owned).collect();
    let alice = site.visit(&text).await;
    let before = pids(&site);

    let begun = api.post(PATH, &json!({ "drain_for": "1m" })).await.unwrap();
    let begun = begun.expect(202).unwrap();
    assert_eq!(begun.body["state"], "running", "{}", begun.text);

    // Node-1 comes first, so she is moved to node-2, and from there again.
    let mut seen: Vec<String> = Vec::new();
    let ended: Value = wait::until_ok(2 * HEARD, "the rollout to end", async || {
        let answer = api.get(PATH).await.and_then(|answer| answer.expect(200));
        let answer = answer.map_err(|error| error.to_string())?;
        let nodes = answer.body["nodes"].as_array().cloned().unwrap_or_default();
        let busy = nodes
            .iter()
            .filter(|node| node["state"] == "draining" || node["state"] == "restarting");
        assert!(busy.count() <= 1, "one at a time: {}", answer.text);
        let states = nodes.iter().filter_map(|node| node["state"].as_str());
        seen.push(states.collect::<Vec<_>>().join(" "));
        if answer.body["state"] == "running" {
            return Err(answer.text);
        }
        Ok(answer.body)
    })
    .await
    .unwrap();

    assert_eq!(ended["state"], "done", "{ended}");
    assert!(seen.iter().any(|states| states == "draining waiting"), "{seen:?}");
    assert!(seen.iter().any(|states| states.starts_with("done ")), "{seen:?}");
    for node in ended["nodes"].as_array().unwrap() {
        assert_eq!(node["state"], "done", "{ended}");
    }
    let after = pids(&site);
    assert_eq!(after.len(), before.len());
    assert!(before.iter().all(|pid| !after.contains(pid)), "{before:?} {after:?}");
    for node in ["node-1", "node-2"] {
        let shown = api.endnode(node).await.unwrap();
        assert_eq!(shown.body["draining"], false, "{}", shown.text);
    }
    assert!(alice.connection.client.log().contains(&reached(&hosts[1])));
    alice.pings.flows(10, wait::SOON).await.unwrap();
    let gap = alice.pings.stats().longest_gap;
    eprintln!(
        "measured: a client was without its tunnel for {} ms at most",
        gap.as_millis()
    );
    assert!(gap < MOVED, "{gap:?}");
    for (action, rows) in [
        ("rollout_started", 1),
        ("node_drained", 2),
        ("node_restarted", 2),
        ("node_undrained", 2),
        ("rollout_ended", 1),
    ] {
        let found = api.audit(&format!("?action={action}")).await.unwrap();
        assert_eq!(found.items().len(), rows, "{}", found.text);
    }
    alice.connection.close().await;
}
