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
    /// What could not be done. The rest was.
    pub(super) faults: Vec<NetworkError>,
}

impl From<NetworkError> for Lacks {
    fn from(fault: NetworkError) -> Self {
        Self {
            faults: vec![fault],
            ..Self::default()
        }
    }
}

/// The state with these lacks; `applied` is the network, if all of it is.
pub(super) fn of(lacks: Lacks, applied: Option<AppliedNetwork>) -> NetworkState {
    let applied = applied.filter(|_| lacks.network.is_none() && lacks.faults.is_empty());
    let failed = failed(&lacks.faults);
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
        fault: joined(failed.into_iter().chain(said(&faults))),
        lack: joined(said(&others)),
    }
}

/// What could not be done, in the order in which it was tried.
fn failed(faults: &[NetworkError]) -> Option<String> {
    let reasons = joined(faults.iter().map(|fault| chain(fault).to_string()));
    reasons.map(|reasons| format!("the pool's network is not applied: {reasons}"))
}

fn said(lacks: &[(&str, Lack)]) -> Vec<String> {
    lacks.iter().map(|(subject, lack)| format!("{subject}{lack}")).collect()
}

fn joined(texts: impl IntoIterator<Item = String>) -> Option<String> {
    let texts: Vec<String> = texts.into_iter().collect();
    (!texts.is_empty()).then(|| texts.join("; "))
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
    use crate::network::{
        feasible::Whose,
        mtu::{IP, MtuError},
        program::ProgramError,
    };

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
            Lacks {
                groups: Some(Lack::FixedAddresses),
                ..Lacks::default()
            },
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
            faults: Vec::new(),
        };
        let state = of(both, Some(applied));
        assert_eq!((state.applied, state.fault), (None, None));
        assert_eq!(
            state.lack.as_deref(),
            Some(
                "the pool's network is not wholly applied: the pool routes IPv6 prefixes, and OPENVPN_NETWORK6 is not set on this node; \
                 the rules of groups are not wholly applied: the group eng routes IPv6 prefixes, and OPENVPN_NETWORK6 is not set on this node"
            )
        );
    }

    #[test]
    fn what_could_not_be_done_hides_nothing_else_and_is_no_applied_network() {
        let applied = AppliedNetwork {
            pool: "default".parse().expect("a pool"),
            revision: Revision(1),
        };
        let lacks = Lacks {
            network: Some(Lack::Ipv6 {
                whose: Whose::Pool,
                what: "routes IPv6 prefixes",
            }),
            groups: Some(Lack::FixedAddresses),
            faults: vec![
                NetworkError::NotTold,
                MtuError::from(ProgramError::NotInstalled { of: &IP }).into(),
            ],
        };

        let state = of(lacks, Some(applied.clone()));

        assert_eq!(state.applied, None);
        let fault = state.fault.expect("a fault");
        assert!(
            fault.starts_with(
                "the pool's network is not applied: management has not said yet what the pool's network is, and the rules of one are there; \
                 ip is not installed: apt-get install iproute2; the rules of groups are not wholly applied: members of groups"
            ),
            "{fault}"
        );
        let lack = state.lack.expect("a lack");
        assert!(
            lack.starts_with("the pool's network is not wholly applied: the pool routes"),
            "{lack}"
        );

        let state = of(Lacks::from(NetworkError::NotTold), Some(applied));
        assert_eq!((state.applied, state.lack), (None, None));
    }
}
