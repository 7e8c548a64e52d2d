//! Finds out why the bus is not there, and what to do. The client only keeps trying; this task notices a refused identity and a bus that
//! has moved, says so in the log, and asks management about it.

mod places;
mod renewed;
mod run;

pub(crate) use self::places::try_present;
pub use self::{
    renewed::Renewed,
    run::{BusWatch, run},
};
