//! After a restore: what the fleet was told since the backup was made, and what of it holds.

pub mod assess;
pub mod decide;
pub mod look;
pub mod mark;
mod old_certificates;
pub mod review;
mod shown;
mod work;
