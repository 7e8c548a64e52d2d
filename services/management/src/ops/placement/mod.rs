//! Which users stand on which nodes.

pub mod fill;
pub mod hand_over;
pub mod readmit;
pub mod rehome;
