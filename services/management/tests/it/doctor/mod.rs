//! `doctor` against real servers. Each test breaks one thing, and sees that this check fails and no other.

mod bus;
mod database;
mod fake_nats;
mod fleet;
mod machine;
mod site;
mod well;
