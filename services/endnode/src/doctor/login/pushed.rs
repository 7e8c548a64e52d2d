//! What a server told a client of its end of the tunnel.

use std::net::Ipv4Addr;

/// The addresses of the tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pushed {
    /// That of the client.
    pub(super) own: Ipv4Addr,
    /// How many bits of it are those of the network.
    pub(super) prefix: u32,
    /// That of the server.
    pub(super) server: Ipv4Addr,
}

impl Pushed {
    /// From the line of the client's log that has `PUSH_REPLY`. `None` where it lacks an address, as from a server that uses no
    /// `topology subnet`.
    pub(super) fn read(line: &str) -> Option<Self> {
        let (_, options) = line.split_once("PUSH_REPLY,")?;
        let options = options.split('\'').next().unwrap_or(options);
        let value = |name: &str| {
            options
                .split(',')
                .find_map(|option| option.strip_prefix(name)?.strip_prefix(' '))
        };
        let (own, mask) = value("ifconfig")?.split_once(' ')?;
        Some(Self {
            own: own.parse().ok()?,
            prefix: mask.parse::<Ipv4Addr>().ok()?.to_bits().count_ones(),
            server: value("route-gateway")?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_are_read_from_the_log() {
        let line = "2026-11-30 23:03:01 PUSH: Received control message: 'PUSH_REPLY,route-gateway 10.8.0.1,topology subnet,ping 1,\
                    ping-restart 7,ifconfig 10.8.0.2 255.255.0.0,peer-id 0,cipher AES-256-GCM'";
        let pushed = Pushed::read(line).unwrap();
        let expected = Pushed {
            own: Ipv4Addr::new(10, 8, 0, 2),
            prefix: 16,
            server: Ipv4Addr::new(10, 8, 0, 1),
        };
        assert_eq!(pushed, expected);
        for other in [
            "",
            "PUSH_REPLY,topology subnet'",
            "PUSH: 'PUSH_REPLY,ifconfig 10.8.0.2 255.255.0.0'",
        ] {
            assert_eq!(Pushed::read(other), None, "{other}");
        }
    }
}
