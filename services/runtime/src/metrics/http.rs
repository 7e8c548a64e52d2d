//! What an HTTP API answers, by operation.

use std::time::Duration;

use super::catalogue::{Catalogue, Counters, Histograms};

/// The ends of the classes of an answer's time, in seconds. A long one waits for a user (`?wait=`).
const SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

/// The operation of a request for a document or a page, and of one for nothing that is there.
const NO_OPERATION: &str = "none";

/// Counts the answers of an HTTP API and how long they took. Cheap to clone.
#[derive(Debug, Clone)]
pub struct HttpMetrics {
    requests: Counters<2>,
    seconds: Histograms<1>,
}

impl HttpMetrics {
    /// Registers them.
    pub fn register(catalogue: &mut Catalogue) -> Self {
        Self {
            requests: catalogue.counters(
                "vpnmanager_http_requests_total",
                "Answers of the API, by operation and HTTP status",
                ["operation", "status"],
            ),
            seconds: catalogue.histograms(
                "vpnmanager_http_request_seconds",
                "How long the API took for an answer, by operation",
                ["operation"],
                SECONDS,
            ),
        }
    }

    /// A request for this operation of the description was answered.
    pub fn answered(&self, operation: Option<&str>, status: u16, took: Duration) {
        let operation = operation.unwrap_or(NO_OPERATION);
        self.requests.inc([operation, &status.to_string()]);
        self.seconds.observe([operation], took.as_secs_f64());
    }
}
