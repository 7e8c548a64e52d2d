//! What became of what management told, in words.

use tracing::{info, warn};
use vpnmanager_nats::network::AppliedNetwork;
use vpnmanager_runtime::error_chain::chain;

use crate::{
    coordination::network_progress::NetworkState,
    network::{error::NetworkError, feasible::Lack},
};

/// What a node does not have of what management told, the rest of which is applied.
#[derive(Debug, Default)]
pub(super) struct Lacks {
    /// Of the network of the pool.
    pub(super) network: Option<Lack>,
    /// Of the rules of groups.
    pub(super) groups: Option<Lack>,
}

/// The state after this outcome; `applied` is the network, if all of it is.
pub(super) fn of(outcome: Result<Lacks, NetworkError>, applied: Option<AppliedNetwork>) -> NetworkState {
    let lacks = match outcome {
        Ok(lacks) => lacks,
        Err(error) => {
            return NetworkState {
                fault: Some(format!("the pool's network is not applied: {}", chain(&error))),
                ..NetworkState::default()
            };
        }
    };
    let applied = applied.filter(|_| lacks.network.is_none());
    let subjects = [
        ("the pool's network is not wholly applied: ", lacks.network),
        ("the rules of groups are not wholly applied: ", lacks.groups),
    ];
    let (faults, others): (Vec<_>, Vec<_>) = subjects
        .into_iter()
        .filter_map(|(subject, lack)| Some((subject, lack?)))
        .partition(|(_, lack)| lack.degrades());
    NetworkState {
        applied,
        fault: said(&faults),
        lack: said(&others),
    }
}

fn said(lacks: &[(&str, Lack)]) -> Option<String> {
    let said: Vec<String> = lacks.iter().map(|(subject, lack)| format!("{subject}{lack}")).collect();
    (!said.is_empty()).then(|| said.join("; "))
}

/// Tells people, once for each change.
pub(super) fn log(state: &NetworkState) {
    match state {
        NetworkState {
            fault: Some(reason), ..
        }
        | NetworkState { lack: Some(reason), .. } => {
            warn!(reason, "The network of the pool is not as it should be")
        }
        NetworkState {
            applied: Some(applied), ..
        } => info!(pool = %applied.pool, revision = applied.revision.0, "Applied the network of the pool"),
        NetworkState { .. } => {}
    }
}

#[cfg(test)]
mod tests {
    use vpnmanager_nats::ids::Revision;

    use super::*;
    use crate::network::feasible::Whose;

    #[test]
    fn what_keeps_members_out_degrades_and_leaves_the_network_applied() {
        let applied = AppliedNetwork {
            pool: "default".parse().expect("a pool"),
            revision: Revision(1),
        };
        let ipv6 = |whose| Lack::Ipv6 {
            whose,
            what: "routes IPv6 prefixes",
        };
        let state = of(
            Ok(Lacks {
                network: None,
                groups: Some(Lack::FixedAddresses),
            }),
            Some(applied.clone()),
        );
        assert_eq!((state.applied, state.lack), (Some(applied.clone()), None));
        let fault = state.fault.expect("a fault");
        assert!(
            fault.starts_with("the rules of groups are not wholly applied: members of groups are not let in"),
            "{fault}"
        );

        let both = Lacks {
            network: Some(ipv6(Whose::Pool)),
            groups: Some(ipv6(Whose::Group("eng".parse().expect("a name")))),
        };
        let state = of(Ok(both), Some(applied));
        assert_eq!((state.applied, state.fault), (None, None));
        assert_eq!(
            state.lack.as_deref(),
            Some(
                "the pool's network is not wholly applied: the pool routes IPv6 prefixes, and OPENVPN_NETWORK6 is not set on this node; \
                 the rules of groups are not wholly applied: the group eng routes IPv6 prefixes, and OPENVPN_NETWORK6 is not set on this node"
            )
        );
    }
}
