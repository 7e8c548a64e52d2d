//! Packages of the agent in `PACKAGES_DIR`, for machines that become nodes.

pub mod offer;
pub mod open;
