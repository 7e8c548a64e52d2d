//! Network namespaces on a bridge: every node and every client of a stack is a separate machine.
//!
//! ```text
//!  root namespace          <prefix>-br               <prefix>-node-1
//!  vm7 198.18.7.1 ───── h1 ┬ br0
//!                          ├ h11 ─────────────── eth0 198.18.7.11
//!                          └ h101 ────────────── eth0 198.18.7.101
//! ```
//! The interface `vm<X>` claims the number X for one stack. Everything else is found in the kernel by its name.

mod behind;
mod capability;
mod ip;
mod namespace;
mod network;

pub use capability::{has_ipv6, has_tunnels, require_tunnels};
pub(crate) use ip::run;
pub use ip::{IpError, ip};
pub use namespace::Namespace;
pub use network::{Network, NetworkError, delete_network};
