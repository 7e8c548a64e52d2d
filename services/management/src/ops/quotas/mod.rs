//! Traffic quotas: who has used how much, who has no access because of it, and who has it again.

pub mod read;

pub mod discard;
pub mod follow_traffic;
pub mod forgive;
pub mod judge;
pub mod review;
pub mod unjudged;

mod refuse_again;

pub(in crate::ops) mod keep_forgiven;
pub(in crate::ops) mod settle;

pub mod metered;
pub mod set;
