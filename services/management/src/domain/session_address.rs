//! The addresses of a session, in the text that nodes send.

use std::net::{IpAddr, SocketAddr};

use vpnmanager_nats::node_requests::LiveSession;

/// The address in what a node says of where a client connects from: an address, with or without a port. An IPv4 address is one however it
/// is written.
pub fn real_ip(text: &str) -> Option<IpAddr> {
    let with_port = text.parse::<SocketAddr>().map(|address| address.ip());
    let address = with_port.or_else(|_| text.parse::<IpAddr>()).ok()?;
    Some(address.to_canonical())
}

/// Whether the client has this address inside the tunnel, or connects from it.
pub fn has_address(session: &LiveSession, address: IpAddr) -> bool {
    let inside = [&session.virtual_address, &session.virtual_address6];
    let mut inside = inside
        .into_iter()
        .flatten()
        .filter_map(|text| text.parse::<IpAddr>().ok());
    inside.any(|inside| inside.to_canonical() == address.to_canonical())
        || real_ip(&session.real_address) == Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_client_is_found_with_and_without_a_port() {
        for (text, address) in [
            ("192.0.2.1:50000", Some("192.0.2.1")),
            ("192.0.2.1", Some("192.0.2.1")),
            ("[2001:db8::7]:50000", Some("2001:db8::7")),
            ("2001:db8::7", Some("2001:db8::7")),
            ("::ffff:192.0.2.1", Some("192.0.2.1")),
            ("192.0.2.1:99999", None),
            ("somewhere", None),
            ("", None),
        ] {
            let expected = address.map(|address| address.parse().expect("an address"));
            assert_eq!(real_ip(text), expected, "{text}");
        }
    }
}
