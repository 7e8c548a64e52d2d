//! Free TCP ports for servers of ours.
//!
//! Ports come from below the kernel's ephemeral range: a port that a server keeps over a restart must not be
//! handed to somebody's outgoing connection while that server is down.

use std::{
    collections::BTreeSet,
    io,
    net::{Ipv4Addr, TcpListener},
    ops::Range,
    sync::Mutex,
};

const RANGE: Range<u16> = 12_000..32_000;
const ATTEMPTS: u32 = 500;

static TAKEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// A port that nobody listens on at any address, and that this process has not been given before.
///
/// # Errors
/// Fails when no free port turns up, or when this machine lets us bind none at all.
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
/// As [`free`].
pub fn preferably(wanted: u16) -> io::Result<u16> {
    claim(wanted).or_else(|_| free())
}

fn claim(port: u16) -> io::Result<u16> {
    let mut taken = TAKEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if taken.contains(&port) {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?;
    taken.insert(port);
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
