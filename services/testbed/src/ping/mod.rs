//! Pings through a tunnel: the proof that traffic flows, and the measure of how long it did not.

mod stats;
mod stream;

pub use stats::PingStats;
pub use stream::{PingError, PingStream, once};
