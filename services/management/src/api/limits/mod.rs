//! What management holds users to (devices, sessions at once, traffic), in the API: parts of the bodies of groups and of users.

mod effective;
mod excess;
mod own;
mod quota;

pub(super) use effective::EffectiveLimitsView;
pub(super) use excess::Excess;
pub(super) use own::{OwnLimitsBody, OwnLimitsChanges, OwnLimitsView};
pub(super) use quota::{Period, QuotaBody, QuotaView};
