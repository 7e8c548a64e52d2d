//! The frame of `doctor`: checks in an order, what each one saw, and the report. The services bring the checks.
//!
//! A [`Check`] has a stable id. An [`Examination`] carries them out one after the other, each within its deadline; a check whose [needs](Check::after)
//! failed is skipped and says so. The [`Report`] is text for people or JSON for programs.

mod check;
mod examination;
mod print;
mod report;
mod text;

pub mod certificates;
pub mod clock;
pub mod configuration;
pub mod disk;
pub mod handshake;
pub mod host_names;
pub mod log;
pub mod ports;

pub use check::{Check, Seen, Trouble, Verdict};
pub use examination::Examination;
pub use print::{Format, ReportArgs, conclude, for_people};
pub use report::{Examined, Finding, Outcome, Report};
