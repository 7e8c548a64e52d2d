//! Figures of a running process for monitoring, in the text format of OpenMetrics: what a service registers with a [`Catalogue`] is what
//! `/metrics` shows.
//!
//! No figure names a user. Labels have few values: states, operations of the API, nodes.

mod catalogue;
mod config;
mod http;
mod listed;
mod process;

pub use catalogue::{
    CONTENT_TYPE, Catalogue, Counter, Counters, Exposed, Gauge, Gauges, Histogram, Histograms, Seconds,
};
pub use config::{MetricsConfig, SETTINGS};
pub use http::HttpMetrics;
pub use listed::Listed;
pub use process::ProcessMetrics;
