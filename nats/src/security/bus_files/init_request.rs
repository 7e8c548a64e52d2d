//! What `bus-init` is asked to make.

use std::{net::SocketAddr, path::PathBuf};

/// What `bus-init` should create.
#[derive(Debug, Clone)]
pub struct BusInit {
    /// The folder for the files; created with mode 0700.
    pub dir: PathBuf,
    /// The address on which the server listens for management and nodes.
    pub listen: SocketAddr,
    /// The address of the server's monitoring, which has no authentication; must be a loopback address.
    pub monitor: SocketAddr,
    /// The folder in which the server stores streams and account tokens.
    pub store_dir: PathBuf,
    /// DNS names and IP addresses by which management and nodes reach the server; loopback names are always added. None: those of the
    /// certificate that is in the folder, if there is one.
    pub hosts: Vec<String>,
    /// Also accept clients without TLS: for development on one machine.
    pub allow_plaintext: bool,
    /// The most bytes that the server stores or reserves for streams: it reserves [`REPORTS_ROOM`](crate::topology::REPORTS_ROOM) for each
    /// node.
    pub max_store: u64,
}

impl BusInit {
    /// Room for 6,400 nodes. It is a bound and no need: a stream takes from the disk what is in it.
    pub const DEFAULT_MAX_STORE: u64 = 100 << 30;
}
