#![doc = include_str!("../README.md")]

pub mod found;
pub mod limits;

mod choice;
mod error;
mod folder;
mod join;
mod layout;
mod lists;
mod moment;
mod pki;
mod read;
mod serial;
mod server;

pub use self::{error::ReadError, pki::BadCertificate, read::read, server::client_file_name};
