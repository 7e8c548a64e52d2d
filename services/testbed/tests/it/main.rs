//! The testbed's own parts, against real programs, and the main job on whole stacks.

// Whole stacks are started and stopped inside futures inside futures.
#![recursion_limit = "256"]

mod attack;
mod chaos;
mod converge;
mod described;
mod fleet;
mod main_job;
mod monitoring;
mod nats;
mod postgres;
mod scratch;
mod stack;
mod tunnel;
mod upgrade;
