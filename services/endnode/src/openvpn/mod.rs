//! OpenVPN as a VPN backend: its keys, its configuration, its processes and their management sockets, one for each listener of the node.

pub mod keepalive;
pub mod lint;
pub mod room;
pub mod server_conf;
pub mod tunnel;
pub mod vpn_network;
pub mod written_conf;

pub mod control_socket;
pub mod process;

mod addresses6;
mod assembly;
mod backend;
mod dynamic_half;
mod external;
mod handshakes;
mod health;
mod joint_health;
mod joint_sessions;
mod managed;
mod managed_tunnel;
mod managed_tunnels;
mod old;
pub(crate) mod pushable;
mod restart;
mod server;
mod session_numbers;
mod task;

pub(crate) use self::session_numbers::is_at_old_listener;
pub use self::{
    backend::OpenVpnBackend,
    external::ExternalOpenVpn,
    managed::{ManagedOpenVpn, ManagedServer},
    managed_tunnel::ManagedTunnel,
    managed_tunnels::ManagedTunnels,
    old::{OldOpenVpn, OldRun},
    task::OpenVpnTask,
};
