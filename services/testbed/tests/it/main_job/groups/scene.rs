//! The scene of the tests of groups.

use std::net::{IpAddr, SocketAddr};

use serde_json::{Value, json};
use vpnmanager_testbed::{
    net::require_tunnels,
    stack::{Connection, Listener, ServiceState, StackOptions},
    wait,
};

use crate::main_job::{
    network::{reaches, set_network, whole},
    site::Site,
};

/// Where the page of the service host is, and where it is too.
pub(super) const PAGE: u16 = 80;
pub(super) const ALSO: u16 = 8080;

/// A service host that has a second address of each family, as if it were two hosts. Engineering reaches the other one, and sales the page
/// of the first at its usual port.
pub(super) struct Scene {
    pub(super) site: Site,
    pub(super) service: ServiceState,
    pub(super) other: Vec<IpAddr>,
}

impl Scene {
    pub(super) async fn set(test: &str, nodes: u8) -> Option<Self> {
        let scene = Self::without_groups(test, nodes).await?;
        scene.decide().await;
        Some(scene)
    }

    /// The same with one node, at UDP 1194 and TCP 443.
    pub(super) async fn at_both_listeners(test: &str) -> Option<Self> {
        let options = StackOptions {
            nodes: 1,
            listeners: vec![Listener::BOTH.to_vec()],
            ..StackOptions::default()
        };
        let scene = Self::start(test, options).await?;
        scene.decide().await;
        Some(scene)
    }

    /// With nothing decided.
    pub(super) async fn without_groups(test: &str, nodes: u8) -> Option<Self> {
        let options = StackOptions {
            nodes,
            ..StackOptions::default()
        };
        Self::start(test, options).await
    }

    /// Says what users and members of groups reach.
    async fn decide(&self) {
        set_network(&self.site, &whole(&self.service)).await;
        self.create("engineering", &hosts(&self.other)).await;
        self.create("sales", &web(&self.service.addresses, PAGE)).await;
    }

    async fn start(test: &str, options: StackOptions) -> Option<Self> {
        require_tunnels(test)?;
        let site = Site::start(StackOptions {
            service: true,
            // What a node has applied is told by its heartbeats.
            node_env: vec![("HEARTBEAT_INTERVAL".to_owned(), "1s".to_owned())],
            ..options
        })
        .await;
        site.stack.serve_page_at(ALSO).await.unwrap();
        let service = site.stack.service().unwrap().clone();
        let mut other = Vec::new();
        for address in &service.addresses {
            let (another, options) = neighbour(*address);
            let line = format!("ip addr add {another}{options} dev eth0");
            service.namespace.run(&line).await.unwrap();
            other.push(another);
        }
        Some(Self { site, service, other })
    }

    /// Creates a group whose members reach this.
    pub(super) async fn create(&self, name: &str, reach: &Value) {
        let group = json!({ "name": name, "reach": reach });
        self.site.create_group(&group).await;
    }

    pub(super) async fn change(&self, name: &str, change: &Value) {
        let changed = self.site.stack.api().change_group(name, change).await.unwrap();
        changed.expect(200).unwrap();
    }

    /// Panics unless the client reaches all of these pages and none of those.
    pub(super) async fn reaches_only(&self, who: &Connection, these: &[String], those: &[String]) {
        for url in these {
            reaches(&self.service, who, url).await;
        }
        for url in those {
            let is_reached = self.service.is_reached_from(&who.namespace, url).await;
            assert!(!is_reached, "{url} is reached\n{}", who.client.log().text());
        }
    }

    pub(super) async fn is_engineer(&self, who: &Connection) {
        let these = [pages(&self.other, PAGE), pages(&self.other, ALSO)].concat();
        self.reaches_only(who, &these, &pages(&self.service.addresses, PAGE))
            .await;
    }

    pub(super) async fn is_seller(&self, who: &Connection) {
        let those = [pages(&self.service.addresses, ALSO), pages(&self.other, PAGE)].concat();
        self.reaches_only(who, &pages(&self.service.addresses, PAGE), &those)
            .await;
    }

    pub(super) async fn is_held_to_nothing(&self, who: &Connection) {
        let all = [self.service.addresses.as_slice(), self.other.as_slice()].concat();
        self.reaches_only(who, &[pages(&all, PAGE), pages(&all, ALSO)].concat(), &[])
            .await;
    }

    /// Waits until every node has told that it holds its members to the groups as they are.
    pub(super) async fn is_applied(&self) {
        let api = self.site.stack.api();
        wait::until_ok(wait::SOON, "every node to tell that it has the groups", async || {
            let nodes = api.endnodes().await.map_err(|error| error.to_string())?;
            match nodes.items().iter().all(|node| node["groups"]["applied"] == true) {
                true => Ok(()),
                false => Err(nodes.text),
            }
        })
        .await
        .unwrap();
    }
}

/// An address beside this one, and what `ip` wants to know of it.
fn neighbour(address: IpAddr) -> (IpAddr, &'static str) {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            ([a, b, c, 3].into(), "/24")
        }
        IpAddr::V6(address) => {
            let [a, b, c, d, e, f, g, _] = address.segments();
            // Without the pause in which it is looked for elsewhere.
            ([a, b, c, d, e, f, g, 3].into(), "/64 nodad")
        }
    }
}

pub(super) fn pages(addresses: &[IpAddr], port: u16) -> Vec<String> {
    let urls = addresses
        .iter()
        .map(|address| format!("http://{}/", SocketAddr::new(*address, port)));
    urls.collect()
}

pub(super) fn prefixes(addresses: &[IpAddr]) -> Vec<String> {
    let whole = |address: &IpAddr| match address {
        IpAddr::V4(_) => format!("{address}/32"),
        IpAddr::V6(_) => format!("{address}/128"),
    };
    addresses.iter().map(whole).collect()
}

/// These hosts, with every protocol.
pub(super) fn hosts(addresses: &[IpAddr]) -> Value {
    let entries = prefixes(addresses).into_iter().map(|to| json!({ "to": to }));
    entries.collect()
}

/// The page of these hosts at this port.
pub(super) fn web(addresses: &[IpAddr], port: u16) -> Value {
    let entry = |to: String| json!({ "to": to, "protocol": "tcp", "ports": [port.to_string()] });
    prefixes(addresses).into_iter().map(entry).collect()
}
