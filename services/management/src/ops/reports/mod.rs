//! What nodes report through the stream: acks and events.

pub mod apply_acks;
pub mod apply_reports;
pub mod follow_up;
