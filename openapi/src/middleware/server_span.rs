//! The span of a request, for traces.

use poem::http::{HeaderMap, Method, StatusCode};
use vpnmanager_runtime::traces::{HEADER, Kind, Span, TraceParent};

use super::allow::Operation;

/// The answering of a request, from its head to the answer's.
#[derive(Debug)]
pub(super) struct ServerSpan(Span);

impl ServerSpan {
    /// Begins in the trace of the caller, or in one of its own.
    pub(super) fn begin(method: &Method, operation: Option<&Operation>, headers: &HeaderMap) -> Self {
        let parent = headers.get(HEADER).and_then(|value| value.to_str().ok());
        let name = operation.map_or("request", |operation| operation.id.as_str());
        let mut span = Span::begin(name, Kind::Server, TraceParent::of(parent));
        span.note("http.request.method", method.as_str());
        Self(span)
    }

    /// What follows from the request has this.
    pub(super) fn traceparent(&self) -> Option<TraceParent> {
        self.0.traceparent()
    }

    /// Ends with this answer.
    pub(super) fn answered(mut self, status: StatusCode) {
        self.0.note("http.response.status_code", status.as_str());
        if status.is_server_error() {
            self.0.fail(status.as_str());
        }
    }
}
