//! Who asks the local API for a change, for the audit trail.

use std::net::{IpAddr, SocketAddr};

use poem::{Addr, web::RemoteAddr};

/// Where a request came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asker {
    pub(super) address: Option<IpAddr>,
    /// At the socket: root of this machine.
    pub(super) is_local: bool,
}

impl Asker {
    pub(super) fn of(source: &RemoteAddr) -> Self {
        Self {
            address: source.as_socket_addr().map(SocketAddr::ip),
            is_local: matches!(source.0, Addr::Custom("unix", _)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_no_local_caller_and_somebody_unknown_neither() {
        let address = IpAddr::from([192, 0, 2, 7]);
        for (source, expected, is_local) in [
            (Addr::SocketAddr(SocketAddr::new(address, 80)), Some(address), false),
            (Addr::Custom("unix", "local".into()), None, true),
            (Addr::default(), None, false),
        ] {
            let expected = Asker {
                address: expected,
                is_local,
            };
            assert_eq!(Asker::of(&RemoteAddr(source)), expected);
        }
    }
}
