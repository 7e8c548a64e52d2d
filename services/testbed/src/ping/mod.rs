//! Pings through a tunnel: they prove that traffic flows, and measure how long it was interrupted.

mod stats;
mod stream;

pub use stats::PingStats;
pub use stream::{PingError, PingStream, once};
