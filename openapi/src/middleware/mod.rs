//! What holds for every request and every answer, whichever operation it is for.

mod admission;
mod allow;
mod body;
pub(crate) mod browsers;
mod diagnosis;
mod names;
mod prefix;
pub(crate) mod problems;
mod query;
mod rate;
pub(crate) mod rate_described;
mod repeats;
mod request_id;
mod request_uri;
mod schema;
mod server_span;
pub(crate) mod verbs;

mod conventions;

pub use admission::DEFAULT_BODY_LIMIT;
pub use conventions::{Conventional, Conventions, DEFAULT_BODY_TIMEOUT};
pub use rate_described::with_rate_limits;
pub use request_id::RequestId;
pub use request_uri::RequestUri;
