//! What the tasks and the local API tell each other in memory.

pub mod contact;
pub mod readiness;

pub mod draining;
pub mod network_progress;
pub mod progress;

pub mod issue_queue;

pub mod bus_trouble;
pub mod enrolling;
pub mod intent_waiters;
pub mod new_start;
pub mod reporting;
