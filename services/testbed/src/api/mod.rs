//! The HTTP APIs of management and of a node, as their callers see them: status and JSON, nothing hidden.

mod answer;
mod http;
mod management;

pub use answer::{Answer, ApiError};
pub use http::Api;
