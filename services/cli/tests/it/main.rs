//! The program, against a real management and against strangers.

// Whole stacks are started and stopped inside futures inside futures.
#![recursion_limit = "256"]

mod desk;
mod effects;
mod fleet;
mod here;
mod keys;
mod live;
mod program;
mod speed;
mod strangers;
mod users;
