//! Traces: which request caused which work, from the API over the bus to the ack of a node and back.
//!
//! A request's `traceparent` (W3C Trace Context) goes along in any case. Spans are made and sent only where the standard variables of
//! OpenTelemetry name a collector ([`start`]); elsewhere a [`Span`] is nothing but the `traceparent` that it was given.

mod current;
mod export;
mod kind;
mod span;
mod trace_parent;

pub use current::{current, within};
pub use export::start;
pub use kind::Kind;
pub use span::Span;
pub use trace_parent::{HEADER, InvalidTraceParent, TraceParent};
