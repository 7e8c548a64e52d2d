//! OpenVPN as a VPN backend: its keys, its configuration, its process and its management socket.

pub mod lint;
pub mod server_conf;
pub mod tunnel;
pub mod vpn_network;
pub mod written_conf;

pub mod control_socket;
pub mod process;

mod backend;
mod dynamic_half;
mod health;
mod managed_tunnel;

pub use self::{
    backend::{ExternalOpenVpn, ManagedOpenVpn, OpenVpnBackend, OpenVpnTask},
    managed_tunnel::ManagedTunnel,
};
