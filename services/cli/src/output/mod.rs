//! How answers are shown.

mod cell;
mod details;
mod format;
mod rows;
mod shape;
mod table;

pub(crate) use cell::tidy;
pub(crate) use format::{Output, OutputArgs};
pub(crate) use shape::{Look, Shape, column};
