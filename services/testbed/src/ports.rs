//! Finds free TCP ports for the servers of a stack.
//!
//! Ports come from below the kernel's ephemeral range: while a server is restarted, no outgoing connection may get
//! its port.

use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, TcpListener},
    ops::Range,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixListener},
    },
    sync::{Mutex, PoisonError},
};

const RANGE: Range<u16> = 12_000..32_000;
const ATTEMPTS: u32 = 500;

/// The ports that this process has chosen. Tests run in many processes, and a server listens on its port only some time after it was
/// chosen. So each port is also claimed by a Unix socket, whose name only one process can have.
static TAKEN: Mutex<BTreeMap<u16, UnixListener>> = Mutex::new(BTreeMap::new());

/// A port that no process listens on at any address, and that no other process of the testbed has chosen.
///
/// # Errors
/// If no free port is found, or this process must not bind ports.
pub fn free() -> io::Result<u16> {
    let mut last = io::Error::other("no port was tried");
    for _ in 0..ATTEMPTS {
        match claim(fastrand::u16(RANGE)) {
            Ok(port) => return Ok(port),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// `wanted` when it is free, otherwise any free port.
///
/// # Errors
/// When no free port turns up.
pub fn preferably(wanted: u16) -> io::Result<u16> {
    claim(wanted).or_else(|_| free())
}

fn claim(port: u16) -> io::Result<u16> {
    let name = SocketAddr::from_abstract_name(format!("vpnmanager-testbed-port-{port}"))?;
    let ours = UnixListener::bind_addr(&name)?;
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?;
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    taken.insert(port, ours);
    Ok(port)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_port_is_given_out_once() {
        let (one, two) = (super::free().unwrap(), super::free().unwrap());
        assert_ne!(one, two);
    }

    #[test]
    fn an_occupied_port_is_not_given_out() {
        let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
        let busy = listener.local_addr().unwrap().port();
        assert_ne!(super::preferably(busy).unwrap(), busy);
    }
}
