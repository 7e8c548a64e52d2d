//! What a `server.conf` leads its clients to, as the network of a pool.

use std::net::IpAddr;

use ipnet::IpNet;
use vpnmanager_adopt::found::FoundServer;
use vpnmanager_nats::network::{DnsServer, DomainName, Network, Prefix};

/// The network of a pool whose users reach what the clients of the server did, and why some of it is not in it.
pub fn network_of(server: &FoundServer) -> (Network, Vec<String>) {
    let mut left_out = Vec::new();
    let mut network = Network {
        redirect_gateway: server.takes_all_traffic,
        client_to_client: server.client_to_client,
        ..Network::default()
    };
    for route in &server.routes {
        match prefix_of(*route) {
            Ok(prefix) if network.routes.iter().any(|other| other.overlaps(&prefix)) => {
                left_out.push(format!("the route {route} overlaps another one"));
            }
            Ok(prefix) => network.routes.push(prefix),
            Err(reason) => left_out.push(format!("the route {route}: {reason}")),
        }
    }
    for address in &server.dns_servers {
        match dns_server_of(*address) {
            Ok(dns) => network.dns_servers.push(dns),
            Err(reason) => left_out.push(format!("the DNS server {address}: {reason}")),
        }
    }
    for domain in &server.dns_domains {
        match domain.parse::<DomainName>() {
            Ok(domain) => network.search_domains.push(domain),
            Err(error) => left_out.push(format!("the search domain {domain:?}: {error}")),
        }
    }
    let counts = [
        (network.routes.len(), Network::MOST_ROUTES, "routes"),
        (network.dns_servers.len(), Network::MOST_DNS, "DNS servers"),
        (network.search_domains.len(), Network::MOST_DNS, "search domains"),
    ];
    for (found, most, what) in counts {
        if found > most {
            left_out.push(format!(
                "{found} {what} are more than the {most} of a pool: the first are taken"
            ));
        }
    }
    network.routes.truncate(Network::MOST_ROUTES);
    network.dns_servers.truncate(Network::MOST_DNS);
    network.search_domains.truncate(Network::MOST_DNS);
    (network, left_out)
}

fn prefix_of(route: IpNet) -> Result<Prefix, String> {
    route
        .trunc()
        .to_string()
        .parse::<Prefix>()
        .map_err(|error| error.to_string())
}

fn dns_server_of(address: IpAddr) -> Result<DnsServer, String> {
    address
        .to_string()
        .parse::<DnsServer>()
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_pool_takes_is_taken_and_the_rest_is_named() {
        let server = FoundServer {
            routes: ["10.20.0.0/16", "10.20.1.0/24", "127.0.0.0/8"]
                .map(|route| route.parse().expect("a network"))
                .to_vec(),
            takes_all_traffic: true,
            dns_servers: ["10.20.0.53", "127.0.0.1"]
                .map(|address| address.parse().expect("an address"))
                .to_vec(),
            dns_domains: vec!["corp.example".to_owned(), "no domain".to_owned()],
            ..FoundServer::default()
        };
        let (network, left_out) = network_of(&server);
        let routes: Vec<String> = network.routes.iter().map(ToString::to_string).collect();
        assert_eq!(routes, ["10.20.0.0/16"]);
        assert_eq!(network.dns_servers.len(), 1);
        assert_eq!(network.search_domains.len(), 1);
        assert!(network.redirect_gateway && !network.client_to_client);
        assert_eq!(left_out.len(), 4, "{left_out:?}");
    }
}
