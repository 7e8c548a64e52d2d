//! What users are held to, by management (devices, sessions at once, traffic) and on nodes (reach, routes, speed), in the API: parts of the
//! bodies of groups and of users.

mod effective;
mod excess;
mod own;
mod own_rules;
mod quota;
mod rules;

pub(super) use effective::EffectiveLimitsView;
pub(super) use excess::Excess;
pub(super) use own::{OwnLimitsBody, OwnLimitsChanges, OwnLimitsView};
pub(super) use own_rules::SaidRules;
pub(super) use quota::{Period, QuotaBody, QuotaView};
pub(super) use rules::{PortsText, ReachBody, ReachView, SpeedBody, TransportKind, parsed_reach, parsed_routes};
