//! Folders of private servers, and a guard that cleans up after them even if this process is killed.

mod folder;
mod guard;

pub(crate) use folder::fresh_id;
pub use folder::{Medium, Scratch, ScratchError};
