//! The VPN backend against a real OpenVPN server and real clients, each in a network namespace of its own.

mod agent;
mod before;
mod fleet;
mod inside;
mod pki;
mod upkeep;

mod addresses;
mod cut;
mod external;
mod groups;
mod history;
mod listeners;
mod log;
mod mtu;
mod network;
mod old;
mod operators;
mod outlive;
mod profiles;
mod reach;
mod renewal;
mod rollover;
mod serve;
mod unfinished;
