//! Figures for monitoring, by subject. Each subject registers what it has and says how it is told; [`figures`] has all of them, and `monitoring`
//! looks and serves.

pub mod bus;
pub mod certificates;
pub mod database;
pub mod fleet;
pub mod users;
pub mod work;

pub mod figures;
