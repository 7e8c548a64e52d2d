#![doc = include_str!("../README.md")]

pub mod api;
pub mod binaries;
pub mod client;
pub mod directives;
mod environment;
pub mod nats;
pub mod net;
pub mod networkmanager;
pub mod ping;
pub mod ports;
pub mod postgres;
pub mod process;
mod ready;
mod require;
pub mod schemathesis;
pub mod scratch;
pub mod stack;
pub mod wait;

pub use ready::NotReady;
