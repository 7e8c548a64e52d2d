//! The generated description: sorted, committed, checked.

mod committed;
mod document;
mod lint;
mod refine;
mod trials;
mod yaml;

pub use committed::assert_committed;
pub use document::Spec;
pub use lint::lint;
pub(crate) use lint::{operations, resolve};
pub(crate) use refine::bounds_of;
pub use trials::{Trial, UNKNOWN, trials};
