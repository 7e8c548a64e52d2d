//! Creates users through the API: at a fixed rate, or as fast as a number of clients can.

mod closed_loop;
mod creator;
mod latencies;
mod open_loop;

pub(super) use closed_loop::closed_loop;
pub(super) use creator::{Creator, Work, creates};
pub(crate) use latencies::{Latencies, Summary};
pub(super) use open_loop::open_loop;
