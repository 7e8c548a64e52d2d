//! `/metrics` of management: looks at what is told only when somebody asks, and serves all figures on a listener of their own. Without
//! METRICS_LISTEN nothing here runs.

mod count;
mod look;
mod serve;

pub(crate) use serve::{listen, serve};
