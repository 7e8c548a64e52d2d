//! Clients of OpenVPN 2.5 with nodes that run that of this machine.

use std::time::SystemTime;

use serde_json::{Value, json};
use vpnmanager_testbed::{
    directives::{BLOCK_OUTSIDE_DNS, KEEP_DNS, all_with},
    stack::{Connection, Listener, ServiceState, StackOptions},
    wait,
};

use super::{connect_old, required};
use crate::main_job::{
    failover::DEAD,
    listeners::{
        both,
        mtu::{MTU, largest_is},
    },
    network::{reaches, reaches_all, set_network},
    profile,
    site::{Site, Visitor},
};

const DOMAINS: [&str; 2] = ["internal.example", "corp.example"];
/// What 2.5 says of a line that it does not take ends so, where that does no harm: of what it knows on Windows alone or not at all, after
/// `setenv opt` or pushed, and of the MTU that is pushed, which it has from its profile.
const HARMLESS: [&str; 3] = [
    ": block-outside-dns (2.5.1)",
    ": disable-dco (2.5.1)",
    "option 'tun-mtu' cannot be used in this context ([PUSH-OPTIONS])",
];

/// Sets the extra lines of profiles of the pool.
async fn set_directives(site: &Site, directives: &[&str]) {
    let body = json!({ "client_directives": directives });
    let changed = site.stack.api().patch("/api/pools/default", &body).await.unwrap();
    changed.expect(200).unwrap();
}

/// Panics unless the client has taken every line of its profile and of what was pushed, but for the harmless ones.
fn took_every_line(client: &Connection) {
    let log = client.client.log().text();
    let refuses = |line: &&str| line.contains("Options error") || line.contains("Unrecognized option");
    let is_harmless = |line: &str| HARMLESS.iter().any(|end| line.ends_with(end));
    let refused: Vec<&str> = log
        .lines()
        .filter(refuses)
        .filter(|line| !is_harmless(line.trim_end()))
        .collect();
    assert_eq!(refused, Vec::<&str>::new(), "{log}");
}

/// Waits until the only session of Alice is at this listener and says which release she has.
async fn is_seen(site: &Site, listener: Listener) {
    let api = site.stack.api();
    wait::until_ok(wait::SOON, "her session with its release", async || {
        let answer = api.get("/api/sessions?username=alice").await;
        let answer = answer.and_then(|answer| answer.expect(200));
        let answer = answer.map_err(|error| error.to_string())?;
        let is_hers = |session: &Value| {
            session["listener"] == listener.to_string()
                && session["client_version"] == "2.5.1"
                && session["client_platform"] == "linux"
        };
        let [session] = answer.items() else {
            return Err(answer.text);
        };
        match is_hers(session) {
            true => Ok(()),
            false => Err(session.to_string()),
        }
    })
    .await
    .unwrap();
}

/// Panics unless each DNS server was pushed to the client, and tells it the name of the service host.
async fn finds_names(service: &ServiceState, client: &Connection) {
    let log = client.client.log();
    for domain in DOMAINS {
        let pushed = format!("dhcp-option DOMAIN-SEARCH {domain}");
        assert!(log.contains(&pushed), "{}", log.text());
    }
    for server in &service.addresses {
        assert!(log.contains(&format!("dhcp-option DNS {server}")), "{}", log.text());
        client.namespace.set_resolver(*server).await.unwrap();
        reaches(service, client, &service.url()).await;
    }
}

#[tokio::test]
async fn a_client_of_2_5_takes_every_line_and_reaches_all_by_each_listener_over_both_families_and_by_name() {
    let Some(program) = required("everything that a profile has, in OpenVPN 2.5") else {
        return;
    };
    let site = Site::start(StackOptions {
        management_env: vec![("FLEET_NAME".to_owned(), "Example Corp. VPN".to_owned())],
        ..both(2)
    })
    .await;
    let api = site.stack.api();
    let service = site.stack.service().unwrap();
    let network = json!({
        "redirect_gateway": true,
        "dns_servers": service.addresses,
        "search_domains": DOMAINS,
        "mtu": MTU,
    });
    set_network(&site, &network).await;
    // With `pull-filter`, the other one of DNS, there are no names.
    let directives = all_with(BLOCK_OUTSIDE_DNS);
    set_directives(&site, &directives).await;
    let text = site.create_at("alice", "node-1").await;
    let mtu = format!("tun-mtu {MTU}");
    for line in directives.into_iter().chain([mtu.as_str(), "FRIENDLY_NAME"]) {
        assert!(text.contains(line), "{line}");
    }

    for listener in Listener::BOTH {
        let alice = connect_old(&site, &program, listener, &text).await;

        took_every_line(&alice);
        let log = alice.client.log();
        assert!(log.contains(HARMLESS[1]), "it tells what it refuses: {}", log.text());
        reaches_all(service, &alice).await;
        finds_names(service, &alice).await;
        largest_is(&site, &alice, MTU).await;
        is_seen(&site, listener).await;
        alice.close().await;
    }

    set_directives(&site, &[KEEP_DNS]).await;
    let text = api.profile("alice").await.unwrap();
    let alice = connect_old(&site, &program, Listener::UDP, &text).await;
    took_every_line(&alice);
    let log = alice.client.log();
    for server in &service.addresses {
        let filtered = format!("Pushed option removed by filter: 'dhcp-option DNS {server}'");
        assert!(log.contains(&filtered), "{}", log.text());
    }
    alice.close().await;
}

#[tokio::test]
async fn a_client_of_2_5_is_cut_on_each_listener_as_its_user_is_suspended_and_comes_back_on_each() {
    let Some(program) = required("suspension in OpenVPN 2.5") else {
        return;
    };
    let site = Site::start(both(1)).await;
    let text = site.create("alice").await;
    let mut visitors = Vec::new();
    for listener in Listener::BOTH {
        visitors.push(Visitor::begin(connect_old(&site, &program, listener, &text).await).await);
    }

    let began = SystemTime::now();
    site.change("alice", &json!({ "active": false })).await;

    for (alice, listener) in visitors.iter_mut().zip(Listener::BOTH) {
        alice
            .is_cut(began, &format!("active=false of a client of 2.5 at {listener}"))
            .await;
        alice.connection.client.exited(wait::SOON).await.unwrap();
        alice.is_turned_away().await;
    }

    site.change("alice", &json!({ "active": true })).await;

    for mut alice in visitors {
        alice.connection.client.restart().await.unwrap();
        alice.connection.client.connected(wait::SOON).await.unwrap();
        assert!(alice.connection.answers().await);
        alice.connection.close().await;
    }
}

#[tokio::test]
async fn clients_of_2_5_move_to_the_second_node_by_each_listener_when_the_first_is_killed() {
    let Some(program) = required("failover in OpenVPN 2.5") else {
        return;
    };
    let mut site = Site::start(both(2)).await;
    let service = site.stack.service().unwrap().clone();
    set_network(&site, &json!({ "redirect_gateway": true })).await;
    let text = site.create("alice").await;
    let home = site.first_node(&text);
    let mut visitors = Vec::new();
    for listener in Listener::BOTH {
        visitors.push(Visitor::begin(connect_old(&site, &program, listener, &text).await).await);
    }

    site.kill_node(home).await;

    for (alice, listener) in visitors.into_iter().zip(Listener::BOTH) {
        let gap = alice.moved_to(profile::hosts(&text)[1], 1).await;
        eprintln!(
            "measured: the tunnel of a client of 2.5 at {listener} was away for {} ms after kill -9 of the node",
            gap.as_millis()
        );
        assert!(gap < DEAD, "{gap:?} at {listener}");
        reaches_all(&service, &alice.connection).await;
        alice.connection.close().await;
    }
}
