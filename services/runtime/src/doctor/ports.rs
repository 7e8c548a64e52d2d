//! Who has a port of this machine.

use std::{
    fmt, fs,
    io::{self, ErrorKind},
    net::{SocketAddr, TcpListener, UdpSocket},
    path::Path,
};

/// What is sent over a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// Connections.
    Tcp,
}

/// How it is with a port.
#[derive(Debug)]
pub enum Port {
    /// Nobody has it.
    Free,
    /// Somebody has it; `None`: it cannot be seen who.
    Taken(Option<Holder>),
    /// It cannot be had by this account, or not at this address.
    Closed(io::Error),
}

/// A process that has a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its number.
    pub pid: u32,
    /// What it runs.
    pub program: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (process {})", self.program, self.pid)
    }
}

/// Finds out who has a port, by taking it for a moment.
#[must_use]
pub fn state_of(address: SocketAddr, transport: Transport) -> Port {
    let taken = match transport {
        Transport::Tcp => TcpListener::bind(address).map(drop),
        Transport::Udp => UdpSocket::bind(address).map(drop),
    };
    match taken {
        Ok(()) => Port::Free,
        Err(error) if error.kind() == ErrorKind::AddrInUse => Port::Taken(holder_of(address.port(), transport)),
        Err(error) => Port::Closed(error),
    }
}

/// The process that has a port. Only root sees those of other accounts.
fn holder_of(port: u16, transport: Transport) -> Option<Holder> {
    let files = match transport {
        Transport::Tcp => ["/proc/net/tcp", "/proc/net/tcp6"],
        Transport::Udp => ["/proc/net/udp", "/proc/net/udp6"],
    };
    let tables = files.into_iter().filter_map(|file| fs::read_to_string(file).ok());
    let sockets: Vec<String> = tables.flat_map(|table| sockets_of(&table, port, transport)).collect();
    let processes = fs::read_dir("/proc").ok()?;
    let mut pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let pid = pids.find(|pid| holds_one_of(*pid, &sockets))?;
    let program = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(Holder {
        pid,
        program: program.trim().to_owned(),
    })
}

/// The sockets of a port in a table of the kernel (`proc_pid_net(5)`), as descriptors name them.
fn sockets_of(table: &str, port: u16, transport: Transport) -> Vec<String> {
    // TCP_LISTEN, and TCP_CLOSE for what has no connections.
    let waits = match transport {
        Transport::Tcp => "0A",
        Transport::Udp => "07",
    };
    let mut found = Vec::new();
    for line in table.lines().skip(1) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, local, _, state, _, _, _, _, _, inode, ..] = fields.as_slice() else {
            continue;
        };
        let is_it = local
            .rsplit_once(':')
            .and_then(|(_, port)| u16::from_str_radix(port, 16).ok())
            == Some(port);
        if is_it && *state == waits {
            found.push(format!("socket:[{inode}]"));
        }
    }
    found
}

fn holds_one_of(pid: u32, sockets: &[String]) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    let mut targets = descriptors.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    targets.any(|target| sockets.iter().any(|socket| target == Path::new(socket)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_this_process_has_is_told_with_its_number() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let Port::Taken(Some(holder)) = state_of(address, Transport::Tcp) else {
            panic!("it is taken");
        };
        assert_eq!(holder.pid, std::process::id());
        drop(listener);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let held = state_of(socket.local_addr().unwrap(), Transport::Udp);
        assert!(matches!(held, Port::Taken(Some(holder)) if holder.pid == std::process::id()));
    }

    #[test]
    fn the_kernels_tables_are_read() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
                     0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12345 1 0 100 0\n   \
                     1: 0100007F:1F90 0100007F:0050 01 00000000:00000000 00:00000000 00000000     0        0 23456 1 0 100 0\n";
        assert_eq!(sockets_of(table, 8080, Transport::Tcp), ["socket:[12345]"]);
        assert!(sockets_of(table, 8081, Transport::Tcp).is_empty());
    }
}
