//! The backstop of every cut: each second, every session whose credential is not let in is cut.

use std::{collections::BTreeSet, time::Duration};

use tracing::warn;
use vpnmanager_nats::{bounded::ENTRIES, events::EventKind, ids::CommonName};

use crate::{
    apply::{ApplyError, ProjectError},
    backend::{BackendError, Session, SessionKey, VpnBackend as _},
    shared::Shared,
};

/// Between two looks at who is connected.
pub const PERIOD: Duration = Duration::from_secs(1);

/// Cuts every session whose credential is not let in, and reports it; not those that are to begin again
/// ([`CutSessions::moved`](crate::backend::CutSessions::moved)). Does
/// nothing while the journal is incomplete: an empty one must not cut everybody. A node that must not serve does cut everybody.
pub async fn cut_strangers(shared: Shared) -> Result<(), ApplyError> {
    if !shared.readiness.has_a_say() {
        return Ok(());
    }
    let before = shared.vpn.look().await;
    // Also where one of several servers cannot be asked; its health says so elsewhere.
    let cut = match (shared.vpn.enforce().await, &before) {
        (Ok(cut), Ok(_) | Err(_)) => cut,
        (Err(_), Err(_)) => return Ok(()),
        (Err(error), Ok(_)) => return Err(failed(error)),
    };
    if cut.count == 0 {
        return Ok(());
    }
    warn!(sessions = cut.count, "Cut sessions of credentials that are not let in");
    // Whose they were cannot be told where who was there could not.
    let Ok(before) = before else {
        return Ok(());
    };
    let after = shared.vpn.sessions().await.map_err(failed)?;
    // Those of a server that could not be asked may have ended long before.
    for common_names in gone(&before.told(), &after, &cut.moved).chunks(ENTRIES) {
        let event = shared.node.event(EventKind::SessionsCut {
            common_names: common_names.to_vec(),
        });
        shared.journal.write(move |records| records.queue_event(&event)).await?;
    }
    shared.node.wakes.events.wake();
    Ok(())
}

/// Our credentials whose sessions were there before and are not there after, without those that moved.
fn gone(before: &[Session], after: &[Session], moved: &BTreeSet<SessionKey>) -> Vec<CommonName> {
    let after: BTreeSet<u64> = after.iter().map(|session| session.cid).collect();
    before
        .iter()
        .filter(|session| !after.contains(&session.cid) && !moved.contains(&session.key()))
        .filter_map(|session| session.common_name.parse().ok())
        .collect()
}

fn failed(error: BackendError) -> ApplyError {
    ProjectError::from(error).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_ended_is_reported_by_its_credential() {
        let session = |cid, common_name: &str| Session {
            common_name: common_name.to_owned(),
            cid,
            ..Session::default()
        };
        let before = [
            session(1, "alice.x"),
            session(2, "bob.x"),
            session(3, "not one of ours"),
        ];
        let [alice, bob] = ["alice.x", "bob.x"].map(|name| name.parse::<CommonName>().expect("a name"));
        let cases = [
            (vec![session(2, "bob.x")], vec![], vec![alice.clone()]),
            // She came back with a session of her own: the one that was cut is reported all the same.
            (
                vec![session(2, "bob.x"), session(4, "alice.x")],
                vec![],
                vec![alice.clone()],
            ),
            (before.to_vec(), vec![], vec![]),
            (vec![], vec![], vec![alice.clone(), bob]),
            // He has another address.
            (vec![], vec![before[1].key()], vec![alice]),
        ];
        for (after, moved, expected) in cases {
            let moved = BTreeSet::from_iter(moved);
            assert_eq!(gone(&before, &after, &moved), expected, "{after:?} {moved:?}");
        }
    }
}
