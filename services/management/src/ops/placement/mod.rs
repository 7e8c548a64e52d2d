//! Decides which users are placed on which nodes.

pub mod choose_homes;
pub mod fill;
pub mod hand_over;
pub mod read_fleet;
pub mod readmit;
pub mod rehome;
pub mod withdraw;
