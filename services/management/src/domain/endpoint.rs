//! Follows where a node's agent says that clients reach it.

use vpnmanager_entities::server;
use vpnmanager_nats::{endpoint::Endpoint, reach::Reach};

/// The most clients that a node may say it accepts; what an enrolment allows.
const MOST_CLIENTS: u32 = 1_000_000;

/// The node as its agent describes it; `None` if nothing differs from what is recorded.
///
/// Its own address, listeners and capacity are the node's to say: they concern its own users. The pool is not: a node that could
/// choose it would get the users of others. What it asks for is only noted. A host that nobody can dial is not taken: the agent itself
/// refuses to start with one.
pub fn follow(server: &server::Model, told: &Endpoint) -> Option<server::Model> {
    let listeners = told.listeners();
    let first = listeners.first();
    let followed = server::Model {
        public_host: told
            .host
            .clone()
            .filter(|host| host.reach() != Reach::Nowhere)
            .unwrap_or_else(|| server.public_host.clone()),
        public_port: i32::from(first.port.get()),
        public_protocol: first.protocol,
        listeners,
        capacity: i32::try_from(told.capacity.get().min(MOST_CLIENTS)).ok(),
        asked_pool: Some(told.pool.to_string()).filter(|asked| *asked != server.pool),
        ..server.clone()
    };
    (followed != *server).then_some(followed)
}

/// That the node is in another pool than its agent is configured for, and the ways out, for people.
pub fn asks_for_another_pool(server: &server::Model) -> Option<String> {
    let (asked, pool, name) = (server.asked_pool.as_ref()?, &server.pool, &server.name);
    Some(format!(
        "its agent is configured with POOL={asked}, and it is in the pool {pool}: move it there with POST /api/endnodes/{name}/move, \
         or set POOL={pool} on the node"
    ))
}

#[cfg(test)]
mod tests {
    use std::num::{NonZeroU16, NonZeroU32};

    use vpnmanager_nats::commands::Protocol;

    use super::*;
    use crate::domain::placement::tests::server;

    fn told(port: u16, pool: &str) -> Endpoint {
        Endpoint {
            host: None,
            port: NonZeroU16::new(port).expect("a port"),
            protocol: Protocol::Udp,
            listeners: None,
            pool: pool.parse().expect("a pool"),
            capacity: NonZeroU32::new(50).expect("a number"),
        }
    }

    #[test]
    fn a_node_says_where_it_is_reached_and_only_asks_for_a_pool() {
        let before = server::Model {
            capacity: Some(50),
            ..server("node-1")
        };
        assert_eq!(follow(&before, &told(1194, "default")), None);

        let moved = follow(&before, &told(443, "default")).expect("a change");
        assert_eq!((moved.public_port, &moved.public_host), (443, &before.public_host));
        assert_eq!(moved.listeners.to_string(), "udp:443");

        let nowhere = Endpoint {
            host: Some("0.0.0.0".parse().expect("a host")),
            ..told(1194, "default")
        };
        assert_eq!(follow(&before, &nowhere), None);

        let asks = follow(&before, &told(1194, "other")).expect("a change");
        assert_eq!(
            (asks.pool.as_str(), asks.asked_pool.as_deref()),
            ("default", Some("other"))
        );
        let reason = asks_for_another_pool(&asks).expect("a reason");
        assert!(
            reason.contains("POOL=other") && reason.contains("/api/endnodes/node-1/move"),
            "{reason}"
        );
        assert_eq!(asks_for_another_pool(&before), None);

        let two = Endpoint {
            listeners: Some("udp:1194,tcp:443".parse().expect("listeners")),
            ..told(1194, "default")
        };
        let serves_two = follow(&before, &two).expect("a change");
        assert_eq!(
            (serves_two.public_port, serves_two.listeners.to_string().as_str()),
            (1194, "udp:1194,tcp:443")
        );
        assert_eq!(follow(&serves_two, &two), None);
        let one_left = follow(&serves_two, &told(1194, "default")).expect("a change");
        assert_eq!(one_left, before);

        let content = follow(&asks, &told(1194, "default")).expect("a change");
        assert_eq!(content, before);
    }
}
