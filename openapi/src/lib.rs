#![doc = include_str!("../README.md")]

pub mod problem;

mod clearable;
pub mod duration;
pub mod page;
mod scalar;
pub mod time;
pub mod wait;

pub mod remembered;

pub mod auth;
pub mod idempotency;

pub mod middleware;
pub mod server;
pub mod spec;

pub use clearable::Clearable;

mod application;
pub use application::{application, application_with_pages};

mod metrics_page;
pub use metrics_page::MetricsPage;

pub mod contract;

#[doc(hidden)]
pub use poem_openapi as __poem_openapi;
#[doc(hidden)]
pub use regex as __regex;
#[doc(hidden)]
pub use serde as __serde;
#[doc(hidden)]
pub use serde_json as __serde_json;
