//! The host of a node that clients dial, as far as its text shows whether they can.

use std::net::IpAddr;

use tracing::warn;
use vpnmanager_nats::{commands::Host, ids::NodeId, reach::Reach};
use vpnmanager_runtime::log_limit::LogLimit;

/// Why clients could not dial a node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnreachableHost {
    /// It names no host, and its request came from an address that leads nowhere from elsewhere: a proxy on this machine, for example.
    #[error(
        "is required: the request came from {0}, which clients elsewhere cannot dial. Set PUBLIC_HOST on the node to a name or an address that they can"
    )]
    Seen(Host),
    /// The host that it names is nowhere.
    #[error(
        "{0} is no address that a client can dial. Set PUBLIC_HOST on the node to a name or an address that clients can reach"
    )]
    Named(Host),
}

/// What clients dial: the host that the node names, else the address that its request came from. A node may name its own machine, as in a
/// trial on one machine; without a name, that is a proxy's address or a forgotten setting.
pub(super) fn host_of(named: Option<&Host>, peer: IpAddr) -> Result<Host, UnreachableHost> {
    let Some(named) = named else {
        let seen = Host::from(peer);
        return match seen.reach() {
            Reach::Anywhere => Ok(seen),
            Reach::ThisMachine | Reach::Nowhere => Err(UnreachableHost::Seen(seen)),
        };
    };
    match named.reach() {
        Reach::Anywhere | Reach::ThisMachine => Ok(named.clone()),
        Reach::Nowhere => Err(UnreachableHost::Named(named.clone())),
    }
}

static LOCAL_HOSTS: LogLimit = LogLimit::lines("the host of a node leads to the client itself", 5);

/// Whoever dials such a host reaches itself.
pub(super) fn warn_of_local_host(node: &NodeId, host: &Host) {
    if host.reach() == Reach::ThisMachine
        && let Some(times) = LOCAL_HOSTS.admit()
    {
        warn!(
            times, node.id = %node, node.host = %host,
            "The host of a node leads to the client itself: clients elsewhere cannot reach it. Set PUBLIC_HOST on the node, unless this is a trial on one machine"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_name_only_an_address_that_others_can_dial_is_taken() {
        let host = |named: Option<&str>, peer: &str| {
            let named: Option<Host> = named.map(|named| named.parse().expect("a host"));
            let found = host_of(named.as_ref(), peer.parse().expect("an address"));
            found.map(String::from).map_err(|error| error.to_string())
        };
        for (named, peer, expected) in [
            (None, "203.0.113.7", "203.0.113.7"),
            (None, "2001:db8::7", "2001:db8::7"),
            (None, "10.1.2.3", "10.1.2.3"),
            (Some("vpn.example.com"), "127.0.0.1", "vpn.example.com"),
            (Some("127.0.0.1"), "203.0.113.7", "127.0.0.1"),
            (Some("::1"), "127.0.0.1", "::1"),
            (Some("localhost"), "127.0.0.1", "localhost"),
        ] {
            assert_eq!(host(named, peer).as_deref(), Ok(expected), "{named:?} {peer}");
        }
        for (named, peer) in [
            (None, "127.0.0.1"),
            (None, "::1"),
            (None, "::ffff:127.0.0.1"),
            (None, "0.0.0.0"),
            (None, "fe80::1"),
            (None, "169.254.7.7"),
            (None, "224.0.0.1"),
            (Some("0.0.0.0"), "203.0.113.7"),
            (Some("::"), "203.0.113.7"),
            (Some("::ffff:0.0.0.0"), "203.0.113.7"),
            (Some("fe80::1"), "203.0.113.7"),
            (Some("ff02::1"), "203.0.113.7"),
            (Some("255.255.255.255"), "203.0.113.7"),
        ] {
            let refused = host(named, peer).expect_err("refused");
            let shown = named.unwrap_or(peer);
            assert!(refused.contains(shown) && refused.contains("PUBLIC_HOST"), "{refused}");
        }
    }
}
