//! Requests with an `Idempotency-Key`: claimed before they are worked on, settled afterwards, known for a day.
//!
//! The rows are written without waiting for the disk. That keeps the order: where a change is on the disk, so is the claim before it. What a
//! crash of the database may take is the answer, and then nobody is told that the change was not made.

pub mod claim;
pub mod room;
pub mod settle;
pub mod times;
