//! What becomes of what was found in an old server: a decision for each of its users, with the reason, and the report about all of them.

pub mod certificates;
pub mod held;
pub mod names;
pub mod outcome;
pub mod plan;
pub mod planned;
pub mod policies;
pub mod pool_network;
pub mod report;

mod known;
mod words;

#[cfg(test)]
mod tests;
