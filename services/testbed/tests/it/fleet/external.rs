//! A node whose OpenVPN the operator runs, and that leaves the fleet.

use std::time::SystemTime;

use serde_json::{Value, json};
use vpnmanager_testbed::{
    binaries,
    client::ClientOptions,
    process::Process,
    stack::{Part, StackOptions},
    wait,
};

use crate::main_job::{
    profile,
    site::{Site, nodes::agent_when},
};

/// Stops what the agent runs on node 2, and runs the same server as an operator would, with an agent in external mode beside it.
async fn run_by_the_operator(site: &mut Site) -> Process {
    for part in [Part::Node(2), Part::Openvpn(2)] {
        site.stack.kill_part(part).await.unwrap();
    }
    let node = site.stack.node(2).unwrap();
    let (dir, log) = (node.dir(), site.stack.state().dir.join("operators.log"));
    let conf = dir.join("operators.conf");
    std::fs::copy(dir.join("openvpn/server.conf"), &conf).unwrap();
    let spec = node
        .namespace()
        .unwrap()
        .spec("operators", binaries::openvpn().unwrap(), &dir, &log)
        .args(["--config"])
        .args([&conf]);
    let server = Process::spawn(&spec).unwrap();
    start_agent(site).await;
    server
}

async fn start_agent(site: &mut Site) {
    let conf = site.stack.node(2).unwrap().dir().join("operators.conf");
    let env = [
        ("OPENVPN_MODE", "external"),
        ("OPENVPN_CONF_FILE", conf.to_str().unwrap()),
    ];
    site.stack.launch_part_with(Part::Node(2), &env).unwrap();
    let api = site.stack.node(2).unwrap().api();
    let is_up = |health: &Value| health["openvpn"]["state"] == "up";
    agent_when(&api, "the agent to see the operator's server", is_up).await;
}

async fn refuses(site: &Site, profile: &str) {
    let connection = site
        .stack
        .start_client(profile, &ClientOptions::default())
        .await
        .unwrap();
    connection.client.refused(wait::SOON).await.unwrap();
    connection.close().await;
}

fn allowed(site: &Site) -> usize {
    let dir = site.stack.node(2).unwrap().allow_dir();
    std::fs::read_dir(dir).unwrap().count()
}

#[tokio::test]
async fn a_deregistered_node_cuts_everybody_and_lets_nobody_in_although_the_operator_runs_its_server() {
    let Some(mut site) = Site::with_tunnels("external retired").await else {
        return;
    };
    let text = site.create_at("alice", "node-2").await;
    let bound_text = site.create_at("bob", "node-2").await;
    let next = profile::hosts(&text)[1].to_owned();
    let server = run_by_the_operator(&mut site).await;
    let alice = site.visit(&text).await;
    let bound = profile::with_only(&bound_text, profile::remotes(&bound_text)[0]);
    let bob = site.visit(&bound).await;
    assert_eq!(allowed(&site), 2);
    an_error_of_its_configuration_degrades_the_node(&site).await;
    what_the_pools_network_lacks_is_said_and_degrades_nothing(&site).await;

    let since = SystemTime::now();
    let api = site.stack.api();
    let answer = api.post("/api/endnodes/node-2/deregister", &json!({})).await.unwrap();
    answer.success().unwrap();

    bob.is_cut(since, "the deregistration").await;
    let gap = alice.moved_to(&next, 1).await;
    eprintln!("measured: alice was without her tunnel for {} ms", gap.as_millis());
    assert_eq!(allowed(&site), 0);
    site.delete("bob").await;
    refuses(&site, &bound).await;

    // Neither does the next run let anybody in.
    site.stack.kill_part(Part::Node(2)).await.unwrap();
    start_agent(&mut site).await;
    assert_eq!(allowed(&site), 0);
    refuses(&site, &bound).await;
    assert!(server.alive(), "the operator's server is left alone");
    alice.pings.flows(10, wait::SOON).await.unwrap();
}

/// The node serves on as before; only its configuration says otherwise, for a while.
async fn an_error_of_its_configuration_degrades_the_node(site: &Site) {
    let node = site.stack.node(2).unwrap();
    let (conf, api, local) = (node.dir().join("operators.conf"), site.stack.api(), node.api());
    let good = std::fs::read_to_string(&conf).unwrap();
    let comes_to = async |state: &str, status: &str, why: &str| {
        let is_so = async || {
            let seen = api.endnode("node-2").await.unwrap().body;
            let health = local.get("/health").await.unwrap().body;
            let says = |text: &Value| text.as_str().unwrap_or_default().contains(why);
            let (state_fits, status_fits) = (seen["state"] == state, health["status"] == status);
            if state_fits && status_fits && says(&seen["state_reason"]) && says(&health["detail"]) {
                Ok(())
            } else {
                Err(format!("{seen} {health}"))
            }
        };
        wait::until_ok(wait::SOON, format_args!("the node to be {state}"), is_so)
            .await
            .unwrap();
    };
    comes_to("healthy", "ok", "").await;
    std::fs::write(&conf, format!("{good}\nx509-username-field emailAddress\n")).unwrap();
    comes_to("degraded", "degraded", "remove `x509-username-field emailAddress`").await;
    std::fs::write(&conf, good).unwrap();
    comes_to("healthy", "ok", "").await;
}

/// The agent applies nothing of it, and its check says what the operator's server does not push.
async fn what_the_pools_network_lacks_is_said_and_degrades_nothing(site: &Site) {
    let (api, local) = (site.stack.api(), site.stack.node(2).unwrap().api());
    let network = json!({ "dns_servers": ["10.20.0.53"] });
    api.set_network("default", &network).await.unwrap().expect(200).unwrap();
    let line = "add `push \"dhcp-option DNS 10.20.0.53\"`";
    let is_said = async || {
        let seen = api.endnode("node-2").await.unwrap().body;
        let health = local.get("/health").await.unwrap().body;
        let says = |text: &Value| text.as_str().unwrap_or_default().contains(line);
        let serves = seen["state"] == "healthy" && health["status"] == "ok";
        let is_unapplied = seen["network"]["applied"] == false;
        if serves && is_unapplied && says(&seen["health"]["detail"]) && says(&health["openvpn"]["detail"]) {
            Ok(())
        } else {
            Err(format!("{seen} {health}"))
        }
    };
    wait::until_ok(wait::SOON, "the node to say what is missing", is_said)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_disk_that_is_almost_full_degrades_the_node_and_says_which() {
    let site = Site::start(StackOptions {
        nodes: 1,
        tunnels: Some(false),
        node_env: vec![("DISK_RESERVE".to_owned(), "9000TiB".to_owned())],
        ..StackOptions::default()
    })
    .await;
    let (api, node) = (site.stack.api(), site.stack.node(1).unwrap());
    let why = format!("the disk of {} is almost full", node.dir().display());
    let is_alarmed =
        |seen: &Value| seen["state"] == "degraded" && seen["state_reason"].as_str().unwrap_or_default().contains(&why);
    site.endnode_when("node-1", "to raise the alarm", is_alarmed).await;
    let health = node.api().get("/health").await.unwrap().body;
    assert_eq!(health["status"], "degraded", "{health}");
    assert!(health["detail"].as_str().unwrap_or_default().contains(&why), "{health}");
    // Monitoring knows nothing of it.
    let report = json!({ "openvpn_state": "up" });
    let reported = api.post("/api/endnodes/node-1/health", &report).await.unwrap();
    assert_eq!(reported.body["state"], "degraded", "{}", reported.text);
}
