//! OpenVPN as a VPN backend: its keys, its configuration, its process and its management socket.

pub mod account;
mod backend;
mod pem;
pub mod tls_crypt_v2;

pub mod lint;
pub mod server_conf;

mod connection;
pub mod management;
pub mod process;

pub use self::backend::{ExternalOpenVpn, ManagedOpenVpn, OpenVpnBackend, OpenVpnTask};
pub(crate) use self::pem::{InvalidPem, parse as parse_pem, render as render_pem};
