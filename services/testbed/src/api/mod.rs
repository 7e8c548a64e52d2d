//! Clients for the HTTP APIs of management and of a node. They return the status and the JSON unchanged.

mod answer;
mod http;
mod management;

pub use answer::{Answer, ApiError};
pub use http::Api;
