//! Carrying out what was planned: one journal commit for a batch, then the projections (allow-list, live sessions, profile files).
//!
//! Every change of access goes through [`Applier`], one at a time from its commit to its projection, so that the last
//! commit is also the last projection. Making profiles is slow and has its own path ([`Issuer`]): a delete never waits for it.

mod applier;
mod commit;
mod expiry;
mod lists;
mod members;
mod old;
mod old_change;
mod outcome;
mod projection;
mod turn;
mod unjournaled;

mod issuer;
mod keys;
mod render;

pub use applier::{Applier, ApplyError};
pub use commit::{Applied, Handled, History, IssueOrder};
pub use issuer::{IssueError, IssueResult, Issuer};
pub use projection::{ProjectError, Projected};
pub use render::Pki;

pub(crate) use keys::make_key;
pub(crate) use render::is_for_key;
