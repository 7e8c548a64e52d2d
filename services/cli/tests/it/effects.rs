//! What becomes of nodes, pools, quotas and sessions when an operator acts, as the API tells it afterwards.

use std::time::Duration;

use chrono::{Days, Utc};
use serde_json::{Value, json};
use vpnmanager_testbed::{
    net::require_tunnels,
    stack::{Part, Stack, StackOptions},
    wait,
};

use crate::program::{Program, one_node, start_with};

/// Restarts of two servers, each of which is waited for, on a machine that does much else.
const RESTARTED: &str = "--wait=4m";
/// What takes its way over a node's reports.
const REPORTED: Duration = wait::under_load(Duration::from_secs(30));

/// Servers with real OpenVPN, where this machine can.
async fn with_tunnels(test: &str, nodes: u8) -> Option<(Stack, Program)> {
    require_tunnels(test)?;
    let options = StackOptions {
        nodes,
        ..StackOptions::default()
    };
    Some(start_with(options).await)
}

/// What the API answers at a path.
async fn told(stack: &Stack, path: &str) -> Value {
    look(stack, path).await.unwrap_or_else(|error| panic!("{error}"))
}

async fn look(stack: &Stack, path: &str) -> Result<Value, String> {
    let answer = stack.api().get(path).await.and_then(|answer| answer.expect(200));
    answer.map(|answer| answer.body).map_err(|error| error.to_string())
}

/// The same when it is as it should be.
async fn told_when(stack: &Stack, path: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    wait::until_ok(2 * wait::SOON, path, async || {
        let body = look(stack, path).await?;
        match is_it(&body) {
            true => Ok(body),
            false => Err(body.to_string()),
        }
    })
    .await
    .unwrap_or_else(|error| panic!("{error}"))
}

/// How many entries the trail has of an action.
async fn entries(stack: &Stack, action: &str) -> usize {
    items(&told(stack, &format!("/api/audit?action={action}")).await).len()
}

fn items(page: &Value) -> &[Value] {
    page["items"].as_array().expect("a list")
}

/// The same command, which may do it.
fn sure<'a>(command: &[&'a str]) -> Vec<&'a str> {
    [command, &["--yes"]].concat()
}

#[tokio::test]
async fn a_node_is_moved_to_another_pool_and_leaves_its_users_behind() {
    let options = StackOptions { nodes: 2, ..one_node() };
    let (stack, vpnmanager) = start_with(options).await;
    vpnmanager.done(&["users", "create", "alice", "bob", "carol", "dave", "--wait=60s"]);
    let to_sales = ["nodes", "move", "node-1", "--pool", "sales"];

    assert!(vpnmanager.fails(2, &to_sales).contains("--yes"));
    let would = vpnmanager.done(&[to_sales.as_slice(), &["--dry-run"]].concat());
    assert_eq!(would, "would move node-1 (0 sessions) to the pool sales\n");
    assert_eq!(told(&stack, "/api/endnodes/node-1").await["pool"], "default");

    let moved = vpnmanager.json(&sure(&to_sales));

    assert_eq!(moved["server_id"], "node-1", "{moved}");
    let holds_nobody = |node: &Value| node["pool"] == "sales" && node["sync"]["wanted"] == 0;
    told_when(&stack, "/api/endnodes/node-1", holds_nobody).await;
    let users = told(&stack, "/api/users").await;
    assert_eq!(items(&users).len(), 4, "{users}");
    for user in items(&users) {
        assert_eq!(user["server_id"], "node-2", "{user}");
    }
    let listed = vpnmanager.done(&["pools", "list", "-o", "name"]);
    assert_eq!(listed.lines().collect::<Vec<_>>(), ["default", "sales"]);
    assert_eq!(entries(&stack, "node_moved").await, 1);

    // Nobody could take the users of the other one.
    let refused = vpnmanager.fails(4, &["nodes", "move", "node-2", "--pool", "sales", "--yes"]);
    assert!(refused.contains("default"), "{refused}");
    vpnmanager.fails(3, &["nodes", "move", "node-9", "--pool", "sales", "--yes"]);
}

#[tokio::test]
async fn the_session_of_a_user_is_ended_and_no_other() {
    let Some((stack, vpnmanager)) = with_tunnels("sessions of the command line", 1).await else {
        return;
    };
    vpnmanager.done(&["users", "create", "alice", "bob", "--wait=60s"]);
    let (alice, bob) = (
        stack.connect("alice").await.unwrap(),
        stack.connect("bob").await.unwrap(),
    );
    told_when(&stack, "/api/sessions", |page| items(page).len() == 2).await;
    let hers = vpnmanager.json(&["sessions", "list", "--user", "alice"]);
    assert_eq!(hers.as_array().map(Vec::len), Some(1), "{hers}");
    let id = hers[0]["id"].as_str().unwrap();
    let disconnect = ["sessions", "disconnect", id];
    assert!(vpnmanager.fails(2, &disconnect).contains("--yes"));

    let ran = vpnmanager.run(&sure(&disconnect));

    assert_eq!(
        (ran.code, ran.out.as_str(), ran.err.trim_end()),
        (0, "", format!("Ended {id}").as_str())
    );
    alice.client.exited(wait::SOON).await.unwrap();
    let left = told_when(&stack, "/api/sessions", |page| items(page).len() == 1).await;
    assert_eq!(items(&left)[0]["username"], "bob", "{left}");
    assert!(bob.answers().await, "his tunnel is as before");
    assert_eq!(entries(&stack, "session_ended").await, 1);
    vpnmanager.fails(3, &sure(&disconnect));
    alice.close().await;
    bob.close().await;
}

#[tokio::test]
async fn traffic_is_forgiven_and_what_a_node_told_of_it_is_discarded() {
    let Some((stack, vpnmanager)) = with_tunnels("traffic of the command line", 1).await else {
        return;
    };
    vpnmanager.done(&["users", "create", "alice", "--quota", "100kB", "--wait=60s"]);
    vpnmanager.done(&["users", "create", "bob", "--wait=60s"]);
    let alice = stack.connect("alice").await.unwrap();
    let pings = format!("ping -n -q -i 0.01 -c 200 -s 1000 {}", alice.server());
    // She may be cut before it has told what came back.
    _ = alice.namespace.run(&pings).await;
    alice.client.exited(REPORTED).await.unwrap();
    alice.close().await;
    told_when(&stack, "/api/users/alice", |user| user["over_quota"] == true).await;
    // All that she used is told by then.
    let has_ended = |page: &Value| items(page).len() == 1 && items(page)[0]["ended_at"].is_string();
    told_when(&stack, "/api/sessions/history?username=alice", has_ended).await;

    let forgiven = vpnmanager.json(&["users", "forgive", "alice", "--wait=60s"]);

    assert_eq!(
        (&forgiven["over_quota"], &forgiven["synced"]),
        (&json!(false), &json!(true)),
        "{forgiven}"
    );
    let after = told(&stack, "/api/users/alice").await;
    assert_eq!(
        (&after["over_quota"], &after["traffic"]["used"]),
        (&json!(false), &json!(0)),
        "{after}"
    );
    assert_eq!(entries(&stack, "user_quota_lifted").await, 1);
    let refused = vpnmanager.fails(4, &["users", "forgive", "bob"]);
    assert!(refused.contains("no quota"), "{refused}");
    vpnmanager.fails(3, &["users", "forgive", "nobody"]);

    // Midnight may have come meanwhile.
    let day = (Utc::now().date_naive() - Days::new(1)).to_string();
    let discard = ["nodes", "discard-traffic", "node-1", "--from", day.as_str()];
    let reported = bytes(&vpnmanager.json(&["nodes", "traffic", "node-1"]));
    assert!(reported.0 > 0 && reported.1 > 0, "{reported:?}");
    assert!(vpnmanager.fails(2, &discard).contains("--yes"));
    let would = vpnmanager.done(&[discard.as_slice(), &["--dry-run"]].concat());
    assert!(
        would.starts_with("would discard the traffic that was reported by node-1"),
        "{would}"
    );

    let discarded = vpnmanager.json(&sure(&discard));

    assert_eq!(
        (
            &discarded["users"],
            discarded["bytes_in"].as_u64(),
            discarded["bytes_out"].as_u64()
        ),
        (&json!(1), Some(reported.0), Some(reported.1)),
        "{discarded}"
    );
    for of in ["endnodes/node-1", "users/alice"] {
        let left = told(&stack, &format!("/api/{of}/traffic")).await;
        assert_eq!(bytes(&left["items"]), (0, 0), "{left}");
    }
    assert_eq!(entries(&stack, "node_traffic_discarded").await, 1);

    // She has access again.
    stack.connect("alice").await.unwrap().close().await;
}

/// Bytes from and to clients in days.
fn bytes(days: &Value) -> (u64, u64) {
    let sum = |counter: &str| {
        let days = days.as_array().expect("a list").iter();
        days.map(|day| day[counter].as_u64().expect("a number")).sum::<u64>()
    };
    (sum("bytes_in"), sum("bytes_out"))
}

#[tokio::test]
async fn the_servers_of_a_pool_are_restarted_with_and_without_a_drain() {
    let Some((stack, vpnmanager)) = with_tunnels("rollout of the command line", 2).await else {
        return;
    };
    let pids = || {
        let servers = [1, 2].map(|number| stack.processes(Part::Openvpn(number)));
        let pids = servers.iter().flatten().map(|process| process.pid);
        pids.collect::<Vec<_>>()
    };
    let are_healthy = |page: &Value| items(page).iter().all(|node| node["state"] == "healthy");
    told_when(&stack, "/api/endnodes", are_healthy).await;
    let start = ["pools", "rollout", "start", "default"];
    for (flags, drain, question) in [
        (&["--drain-for", "1m"][..], true, "whose clients are moved away before"),
        (&["--no-drain"][..], false, "whose clients lose the tunnel for a moment"),
    ] {
        let start = [start.as_slice(), flags].concat();
        let asked = vpnmanager.fails(2, &start);
        assert!(
            asked.contains("2 nodes in default") && asked.contains(question),
            "{asked}"
        );
        let before = pids();

        let ended = vpnmanager.json(&[sure(&start).as_slice(), &[RESTARTED]].concat());

        assert_eq!(
            (&ended["state"], &ended["drain"]),
            (&json!("done"), &json!(drain)),
            "{ended}"
        );
        let shown = told(&stack, "/api/pools/default/rollout").await;
        assert_eq!(shown["id"], ended["id"], "{shown}");
        let nodes = shown["nodes"].as_array().unwrap();
        assert_eq!(nodes.len(), 2, "{shown}");
        assert!(nodes.iter().all(|node| node["state"] == "done"), "{shown}");
        let after = pids();
        assert_eq!(after.len(), before.len());
        assert!(before.iter().all(|pid| !after.contains(pid)), "{before:?} {after:?}");
    }
    assert_eq!(entries(&stack, "rollout_ended").await, 2);
    let refused = vpnmanager.fails(2, &[start.as_slice(), &["--no-drain", "--drain-for", "1m"]].concat());
    assert!(refused.contains("--drain-for"), "{refused}");
}
