//! Where a server hears clients.

use std::net::IpAddr;

use vpnmanager_nats::commands::Protocol;

use crate::directives::Directives;

/// The port of an OpenVPN that was told none.
const OWN_PORT: &str = "1194";

/// Where the server hears clients: `local <address> [<port> [<proto>]]`, several times from OpenVPN 2.7 on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// The address; `None`: all of the machine, or one that is named.
    pub address: Option<IpAddr>,
    /// The port, as it stands there.
    pub port: String,
    /// The transport, as it stands there: it may name an address family too.
    pub proto: String,
}

impl Listener {
    /// Those of `local`, or the one of `port` and `proto` alone.
    pub fn all(conf: &Directives) -> Vec<Self> {
        let or = |name, other| conf.argument(name).unwrap_or(other).to_owned();
        let (port, proto) = (or("lport", &or("port", OWN_PORT)), or("proto", "udp"));
        let of_line = |line: &[String]| Self {
            address: line.first().and_then(|text| text.parse().ok()),
            port: line.get(1).unwrap_or(&port).clone(),
            proto: line.get(2).unwrap_or(&proto).clone(),
        };
        let listeners: Vec<Self> = conf.each("local").map(of_line).collect();
        if listeners.is_empty() {
            vec![of_line(&[])]
        } else {
            listeners
        }
    }

    /// The transport.
    pub fn protocol(&self) -> Protocol {
        protocol_named(&self.proto)
    }

    /// Whether clients reach it over IPv6.
    pub fn hears_ipv6(&self) -> bool {
        self.proto.contains('6') || self.address.is_some_and(|address| address.is_ipv6())
    }
}

/// What `proto` means: it may name an address family too. Without it OpenVPN uses UDP.
pub fn protocol_of(conf: &Directives) -> Protocol {
    conf.argument("proto").map_or(Protocol::Udp, protocol_named)
}

fn protocol_named(name: &str) -> Protocol {
    if name.starts_with("tcp") {
        Protocol::Tcp
    } else {
        Protocol::Udp
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn listeners(text: &str) -> Vec<(String, Protocol, bool)> {
        let conf = Directives::load(Path::new("a.conf"), &|_| Ok(text.as_bytes().to_vec()));
        let listeners = Listener::all(&conf).into_iter();
        listeners
            .map(|listener| (listener.port.clone(), listener.protocol(), listener.hears_ipv6()))
            .collect()
    }

    #[test]
    fn port_and_transport_are_those_of_the_listener_or_else_of_the_server() {
        for (text, port, protocol, ipv6) in [
            ("dev tun", "1194", Protocol::Udp, false),
            ("port 443\nproto tcp6-server", "443", Protocol::Tcp, true),
            ("port 1\nlport 2\nproto udp4", "2", Protocol::Udp, false),
            ("local 2001:db8::1\nport 1", "1", Protocol::Udp, true),
        ] {
            assert_eq!(listeners(text), [(port.to_owned(), protocol, ipv6)], "{text:?}");
        }
        let two = listeners("port 5\nlocal 192.0.2.1\nlocal 192.0.2.1 443 tcp");
        let expected = [("5", Protocol::Udp), ("443", Protocol::Tcp)];
        assert_eq!(
            two.iter()
                .map(|(port, protocol, _)| (port.as_str(), *protocol))
                .collect::<Vec<_>>(),
            expected
        );
    }
}
