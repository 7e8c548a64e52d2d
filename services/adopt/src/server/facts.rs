//! What of a server matters to its clients.

use ipnet::IpNet;
use vpnmanager_nats::listeners::Listener;
use vpnmanager_openvpn_conf::{self as openvpn_conf, PushedRoutes, dns_domains, dns_servers, server_network};

use super::conf::ServerConf;
use crate::found::{FoundServer, Remark};

/// Of one or several that serve the same users.
pub(crate) fn facts_of(confs: &[ServerConf], remarks: &mut Vec<Remark>) -> Option<FoundServer> {
    let mut servers = confs.iter().map(|conf| facts(conf, remarks));
    let first = servers.next()?;
    Some(servers.fold(first, join))
}

fn facts(conf: &ServerConf, remarks: &mut Vec<Remark>) -> FoundServer {
    let directives = &conf.directives;
    let routes = PushedRoutes::of(directives);
    let pushed = directives.pushed("route").count() + directives.pushed("route-ipv6").count();
    if pushed > routes.networks.len() {
        let text = "a pushed route is not carried over: it has a name in place of an address, leads past the tunnel, or is none";
        remarks.push(conf.remark(text));
    }
    FoundServer {
        listeners: listeners(conf, remarks),
        networks: networks(conf, remarks),
        routes: routes.networks,
        takes_all_traffic: routes.redirected.ipv4 || routes.redirected.ipv6,
        dns_servers: dns_servers(directives),
        dns_domains: dns_domains(directives),
        client_to_client: directives.has("client-to-client"),
        duplicate_cn: directives.has("duplicate-cn"),
    }
}

fn listeners(conf: &ServerConf, remarks: &mut Vec<Remark>) -> Vec<Listener> {
    let mut found = Vec::new();
    for listener in openvpn_conf::Listener::all(&conf.directives) {
        let Ok(port) = listener.port.parse() else {
            remarks.push(conf.remark(format!(
                "the port `{}` is not carried over: it is no number",
                listener.port
            )));
            continue;
        };
        add_new(
            &mut found,
            [Listener {
                protocol: listener.protocol(),
                port,
            }],
        );
    }
    found
}

fn networks(conf: &ServerConf, remarks: &mut Vec<Remark>) -> Vec<IpNet> {
    let directives = &conf.directives;
    let mut found = Vec::new();
    for (option, network) in [
        ("server", server_network(directives).map(IpNet::V4)),
        (
            "server-ipv6",
            directives.argument("server-ipv6").and_then(|text| text.parse().ok()),
        ),
    ] {
        match network {
            Some(network) => found.push(network.trunc()),
            None if directives.has(option) => {
                remarks.push(conf.remark(format!("the network of `{option}` is not carried over: it is none")));
            }
            None => {}
        }
    }
    found
}

/// A node has one network, whatever the clients of each listener are told: what one of them is told all may know.
fn join(mut one: FoundServer, other: FoundServer) -> FoundServer {
    add_new(&mut one.listeners, other.listeners);
    add_new(&mut one.networks, other.networks);
    add_new(&mut one.routes, other.routes);
    add_new(&mut one.dns_servers, other.dns_servers);
    add_new(&mut one.dns_domains, other.dns_domains);
    one.takes_all_traffic |= other.takes_all_traffic;
    one.client_to_client |= other.client_to_client;
    one.duplicate_cn |= other.duplicate_cn;
    one
}

fn add_new<T: PartialEq>(known: &mut Vec<T>, others: impl IntoIterator<Item = T>) {
    for other in others {
        if !known.contains(&other) {
            known.push(other);
        }
    }
}
