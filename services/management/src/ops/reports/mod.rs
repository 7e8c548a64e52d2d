//! What nodes report through the stream: acks and events.

pub mod acks;
pub mod apply;
