#![doc = include_str!("../README.md")]

pub mod edits;
pub mod text;
pub mod wire;

pub mod site;
