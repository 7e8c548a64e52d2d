//! Where the programs of a stack are: ours beside the running executable, the others on this machine.

mod easyrsa;
mod find;
mod last_release;
mod nats_server;
mod older;
mod postgres;

pub use easyrsa::easyrsa;
pub use find::{Missing, command_line, endnode, management, openvpn, pgbouncer, required_tool, target_dir, tool};
pub use last_release::{LastRelease, require_last_release};
pub use nats_server::nats_server;
pub use older::require_openvpn_2_5;
pub use postgres::{PostgresBinaries, postgres};
