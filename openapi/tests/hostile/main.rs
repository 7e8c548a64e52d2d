//! Strangers on plain sockets and in TLS: what they send is incomplete, endless, too large, or not HTTP.
#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod running;
mod secured;

mod form;
mod http2;
mod local;
mod prefix;
mod room;
mod tls;
mod unfinished;
