//! Violations about the networks of pools.

use super::*;
use crate::chaos::{
    inventory::Pool,
    networked::{behind, misled},
};

/// As nft prints it, which breaks long lists.
const FIREWALL: &str = "table inet vpnmanager {
	set routes4 {
		type ipv4_addr
		flags interval
		auto-merge
		elements = { 10.93.0.0/16, 10.95.6.0/24,
			     10.97.4.0/24 }
	}

	chain from_clients {
		ip saddr != 10.8.0.0/16 drop
		oifname \"vpn-udp1194\" reject with icmpx admin-prohibited
		ip daddr @routes4 accept
		reject with icmpx admin-prohibited
	}

	chain forwarded {
		oifname \"vpn-udp1194\" jump to_clients
	}
}
";

fn pool() -> Pool {
    Pool {
        name: "default".to_owned(),
        revision: 7,
        network: Some(json!({
            "routes": ["10.93.0.0/16", "10.97.4.0/24", "10.95.6.0/24"], "redirect_gateway": false,
            "dns_servers": ["10.97.4.53"], "search_domains": [], "nat": "masquerade", "client_to_client": false,
        })),
    }
}

fn with_dns() -> NodeView {
    let mut node = node("node-1", &[]);
    node.pushed = "push \"route 10.93.0.0 255.255.0.0\"\npush \"dhcp-option DNS 10.97.4.53\"\n".to_owned();
    node
}

#[test]
fn a_node_that_has_not_applied_the_network_as_it_is_is_told() {
    let node = with_dns();
    let listed = |network: Value| [json!({ "server_id": "node-1", "network": network })];
    let right = json!({ "wanted_revision": 7, "applied_revision": 7, "applied": true });
    assert_eq!(behind(&node, &pool(), &listed(right)), None);
    for wrong in [
        json!({ "wanted_revision": 7, "applied_revision": 6, "applied": false }),
        json!({ "wanted_revision": 7, "applied": false }),
        json!({ "wanted_revision": 6, "applied_revision": 6, "applied": true }),
        json!(null),
    ] {
        assert!(behind(&node, &pool(), &listed(wrong.clone())).is_some(), "{wrong}");
    }
    assert!(behind(&node, &pool(), &[]).is_some());
}

#[test]
fn a_node_that_leads_elsewhere_than_its_pool_is_told() {
    let node = with_dns();
    assert_eq!(misled(&node, &pool(), FIREWALL), Vec::<String>::new());
    let routes = "node-1 has a firewall with the routes";
    let clients = "node-1 has a firewall that lets clients reach each other:";
    for (firewall, part) in [
        (FIREWALL.replace(", 10.95.6.0/24", ""), routes),
        (
            FIREWALL.replace("10.97.4.0/24 }", "10.97.4.0/24, 10.97.2.0/24 }"),
            routes,
        ),
        (FIREWALL.replace("routes4", "others4"), routes),
        (
            FIREWALL.replace("1194\" reject with icmpx admin-prohibited", "1194\" goto delivered"),
            clients,
        ),
        (FIREWALL.replace("from_clients", "from_members"), clients),
    ] {
        let told = misled(&node, &pool(), &firewall);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with(part), "{told:?}");
    }
}

#[test]
fn a_node_that_tells_clients_of_other_dns_servers_is_told() {
    let mut node = with_dns();
    node.pushed.push_str("push \"dhcp-option DNS 10.97.2.53\"\n");
    let told = misled(&node, &pool(), FIREWALL);
    assert_eq!(
        told,
        [
            "node-1 has for clients the DNS servers {\"10.97.2.53\", \"10.97.4.53\"}, and its pool default has {\"10.97.4.53\"}"
        ]
    );
    node.pushed.clear();
    assert_eq!(misled(&node, &pool(), FIREWALL).len(), 1);
}
