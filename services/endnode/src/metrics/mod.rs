//! Figures for monitoring, by subject. `serve_metrics` looks at what nobody tells, and serves all.

pub mod bus;
pub mod holdings;
pub mod server;
pub mod work;

pub mod figures;
