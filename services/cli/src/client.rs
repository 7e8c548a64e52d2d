//! The client that build.rs generates.

#[allow(
    clippy::all,
    clippy::allow_attributes,
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    dead_code,
    missing_docs,
    unreachable_pub,
    unused_imports,
    unused_qualifications,
    reason = "nobody wrote it"
)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/client.rs"));
}

pub(crate) use generated::{Client, types};
