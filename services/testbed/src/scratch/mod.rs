//! Folders of private servers, and what cleans up behind them when nobody else can.

mod folder;
mod guard;

pub(crate) use folder::fresh_id;
pub use folder::{Medium, Scratch, ScratchError};
