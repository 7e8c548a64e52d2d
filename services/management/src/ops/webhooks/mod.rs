//! Webhooks: events that are sent to whoever an operator names.
//!
//! Nothing is sent by whoever records an event. Each webhook has a position in the audit trail; what comes after it is handed to rows of
//! `webhook_deliveries` in one transaction with the next position (`hand_over`), and those rows are sent by any replica, one webhook at a time by one
//! (`deliver`). So an event is sent at least once, whatever dies.

pub mod change;
pub mod courier;
pub mod create;
pub mod deliver;
pub mod hand_over;
pub mod read;
pub mod remove;
pub mod reseal;
pub mod rotate_secret;
pub mod secrets;
pub mod snapshot;
pub mod target;
pub mod try_out;
