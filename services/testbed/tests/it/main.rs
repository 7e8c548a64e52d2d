//! The testbed's own parts, against real programs, and the main job on whole stacks.

mod main_job;
mod nats;
mod postgres;
mod scratch;
mod stack;
mod tunnel;
