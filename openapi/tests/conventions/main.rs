//! The rules that hold for every request, against a small service.
#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod service;

mod answers;
mod description;
mod requests;
