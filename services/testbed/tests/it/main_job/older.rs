//! OpenVPN 2.5, which Debian 11 has: what is promised holds for its clients, and for nodes that run it.

mod client;
mod server;

use std::path::{Path, PathBuf};

use vpnmanager_testbed::{
    binaries::require_openvpn_2_5,
    client::ClientOptions,
    net::require_tunnels,
    stack::{Connection, Listener},
};

use super::{listeners::connect_as, site::Site};

/// OpenVPN 2.5, where it is there and there are tunnels.
fn required(test: &str) -> Option<PathBuf> {
    require_tunnels(test)?;
    require_openvpn_2_5(test)
}

/// Connects with a profile by this listener alone, as a client of 2.5.
async fn connect_old(site: &Site, program: &Path, listener: Listener, profile: &str) -> Connection {
    let options = ClientOptions {
        port: Some(listener.port),
        program: Some(program.to_path_buf()),
        ..ClientOptions::default()
    };
    connect_as(site, &options, profile).await
}
