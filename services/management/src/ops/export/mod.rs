//! Writes what management knows into files that other programs read: the way back. No private key is among them: those are on the nodes.

pub mod files;
pub mod write_files;

mod certificates;
mod old_certificates;
mod users;
