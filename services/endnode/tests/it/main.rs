//! The agent against a real nats-server, and its parts against a VPN server in memory.

mod agent;
mod authority;
mod fake_management;
mod parts;

mod api;
mod apply;
mod bus;
mod enrol;
mod expiry;
mod journal;
