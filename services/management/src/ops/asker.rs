//! Who asked for what background tasks carry out, for the audit trail.

use vpnmanager_entities::{node_reissue, node_revocation, rollout};

use crate::domain::actor::Actor;

/// What somebody asked for, recorded with who that was.
pub(super) trait AskedFor {
    /// Who asked for it.
    fn asker(&self) -> Actor;
}

macro_rules! asked_for {
    ($($job:ident),+) => {
        $(
            impl AskedFor for $job::Model {
                fn asker(&self) -> Actor {
                    Actor::recorded(&self.actor, self.ip_address, self.request_id.as_deref())
                }
            }
        )+
    };
}

asked_for!(node_reissue, node_revocation, rollout);
