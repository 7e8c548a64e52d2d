//! Strangers on plain sockets: what they send is incomplete, endless, too large, or not HTTP.
#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod running;

mod form;
mod room;
mod unfinished;
