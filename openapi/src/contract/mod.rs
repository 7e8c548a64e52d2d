//! What the agents and management say to each other over HTTP: the bodies of enrolment and of the question of standing. Management
//! serves these types, and the agent sends and reads them, so that the two cannot drift apart.
//!
//! `golden/` holds one JSON file for each shape that was ever shipped; a test decodes and re-encodes them all.

pub mod enrolment;
pub mod join_token;
pub mod needed;
pub mod scalars;
pub mod standing;
