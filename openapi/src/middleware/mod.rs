//! What holds for every request and every answer, whichever operation it is for.

mod allow;
mod body;
mod diagnosis;
mod problems;
mod request_id;
mod request_uri;

mod conventions;

pub use conventions::{Conventional, Conventions, DEFAULT_BODY_LIMIT};
pub use request_id::RequestId;
pub use request_uri::RequestUri;
