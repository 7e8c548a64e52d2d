//! What `bus-init` is asked to make.

use std::{net::SocketAddr, path::PathBuf};

/// What `bus-init` was asked for.
#[derive(Debug, Clone)]
pub struct BusInit {
    /// Where the files go; made with mode 0700.
    pub dir: PathBuf,
    /// Where the server listens for management and nodes.
    pub listen: SocketAddr,
    /// Where the server answers its unauthenticated monitoring requests; a loopback address.
    pub monitor: SocketAddr,
    /// Where the server keeps streams and account tokens.
    pub store_dir: PathBuf,
    /// DNS names and IP addresses by which management and nodes reach the server; loopback names are always added.
    pub hosts: Vec<String>,
    /// Let clients connect without TLS too: for development on one machine.
    pub allow_plaintext: bool,
}
