//! The network of the node's pool on this machine: what clients are told, what the firewall lets through, and that the machine forwards.
//!
//! Management says what clients of the pool reach ([`Network`](vpnmanager_nats::network::Network)), and what holds for members of groups
//! ([`Groups`](vpnmanager_nats::groups::Groups)). `feasible` decides what of it this node can have, `members` whose an address of the tunnel
//! is, `pushes` and `rules` write it down for OpenVPN and for nft, and the [`Keeper`] makes the machine so and keeps it so.

mod feasible;
mod members;
mod pushes;
mod roster;
mod rules;

mod claim;
mod firewall;
mod forwarding;
mod nft;
mod printed;

mod error;
mod keeper;
mod site;

#[cfg(test)]
mod fixtures;

pub use self::{
    keeper::Keeper,
    site::{Site, Tools},
};
