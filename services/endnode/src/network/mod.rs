//! The network of the node's pool on this machine: what clients are told, what the firewall lets through, that the machine forwards, and how
//! large packets in the tunnel are.
//! A node has a tunnel for each of its listeners, and all that is said here holds for all of them together.
//!
//! Management says what clients of the pool reach ([`Network`](vpnmanager_nats::network::Network)), and what holds for members of groups
//! ([`Groups`](vpnmanager_nats::groups::Groups)). `feasible` decides what of it this node can have, `members` whose an address of the tunnel
//! is, `pushes` and `rules` write it down for OpenVPN and for nft, and the [`Keeper`] makes the machine so and keeps it so.

mod feasible;
mod members;
mod tunnels;

mod pushes;
mod roster;
mod rules;

mod claim;
mod firewall;
mod forwarding;
mod given_mtus;
mod mtu;
mod nft;
mod printed;
mod program;

mod error;
mod keeper;
mod look;
mod site;

#[cfg(test)]
mod fixtures;

pub(crate) use self::look::firewall_table;
pub use self::{
    keeper::Keeper,
    site::{Site, Tools},
};
