//! Users: what operators and nodes ask for, and what is told of them.

pub mod change;
pub mod create;
pub mod reissue;
pub mod remove;

pub mod accept_intent;
pub mod end_removals;
pub mod locked;

pub mod fetch_profile;
pub mod read;
pub mod waiters;
