//! The server's own limit of what it stores or reserves, `max_file`. More room on its disk changes nothing.

use async_nats::jetstream::{Error, ErrorCode, context::PublishError};

/// What to do, for people.
pub const RAISE: &str = "run `bus-init` again with its other arguments and a larger `--max-store`, or raise `max_file` in \
     nats-server.conf, and restart nats-server";

/// Whether the server refused to store because of it, and not because its disk or anything else failed: it says so at once.
pub fn refused(error: &PublishError) -> bool {
    let source = std::error::Error::source(error);
    source.and_then(|source| source.downcast_ref()).is_some_and(is_reached)
}

/// Whether the server says that it is reached.
pub(crate) fn is_reached(told: &Error) -> bool {
    [ErrorCode::STORAGE_RESOURCES_EXCEEDED, ErrorCode::INSUFFICIENT_RESOURCES].contains(&told.error_code())
}
