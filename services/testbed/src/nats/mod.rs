//! A private nats-server.

mod server;

pub use server::{Nats, NatsError, NatsSite};
