//! Kinds of work, as OpenTelemetry has them.

/// What a piece of work is to the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Answers a request.
    Server,
    /// Sends a message.
    Producer,
    /// Handles a message.
    Consumer,
}
