//! The testbed's own parts, against real programs.

mod nats;
mod postgres;
mod scratch;
mod stack;
mod tunnel;
