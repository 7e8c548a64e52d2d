//! Values as people write them.

mod duration;
mod reach;
mod size;
mod speed;
mod time;

pub(crate) use duration::{in_one_unit, wait_text};
pub(crate) use reach::reach;
pub(crate) use size::{shown, size};
pub(crate) use speed::speed;
pub(crate) use time::{Moment, moment};
