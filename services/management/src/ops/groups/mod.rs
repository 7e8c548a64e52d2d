//! Groups: what users may reach through the tunnel, how fast, with how many devices, and for how long.

pub mod change;
pub mod check;
pub mod create;
pub mod read;
pub mod remove;

pub mod ensure_own;
pub mod hold;
pub mod remove_unused_own;
pub mod tell;
pub mod told;
mod unused_own;
