//! What an ack changes in its placement and in its user.

use std::collections::HashMap;

use vpnmanager_entities::{
    placement::{self, Outcome as StoredOutcome},
    user,
};
use vpnmanager_nats::{
    acks::{Ack, Outcome},
    ids::{NodeId, Revision, UserKey},
    sync::StateDigest,
};

/// The ack with the highest revision for each user and node.
pub fn newest<'a>(acks: &[&'a Ack]) -> Vec<&'a Ack> {
    let mut by_placement: HashMap<(&NodeId, UserKey), &Ack> = HashMap::new();
    for &ack in acks {
        let held = by_placement.entry((&ack.node, ack.user_key)).or_insert(ack);
        if ack.revision >= held.revision {
            *held = ack;
        }
    }
    by_placement.into_values().collect()
}

/// The placement after this ack. `None` if the ack changes nothing: its revision is below the applied one or above the wanted one.
pub fn follow(placement: &placement::Model, ack: &Ack) -> Option<placement::Model> {
    let revision = ack.revision.0;
    if !(placement.applied_revision..=placement.wanted_revision).contains(&revision) {
        return None;
    }
    let (outcome, error) = match &ack.outcome {
        Outcome::Applied { note, .. } => (StoredOutcome::Applied, note.clone()),
        Outcome::Failed { error } => (StoredOutcome::Failed, Some(error.clone())),
        Outcome::Refused { error } => (StoredOutcome::Refused, Some(error.clone())),
        Outcome::Superseded { holds } => (
            StoredOutcome::Superseded,
            Some(format!("the node holds revision {holds}")),
        ),
    };
    let mut after = placement::Model {
        outcome: Some(outcome),
        error: error.filter(|error| !error.is_empty()),
        ..placement.clone()
    };
    match ack.outcome {
        Outcome::Applied { .. } => {
            after.applied_revision = revision;
            after.applied_at = Some(ack.applied_at);
            after.digest = if placement.wanted_present {
                StateDigest::of(ack.user_key, ack.revision).0.cast_signed()
            } else {
                0
            };
        }
        Outcome::Failed { .. } | Outcome::Refused { .. } | Outcome::Superseded { .. } => {}
    }
    Some(after)
}

/// The most that what a node says may raise a revision. No user is changed that often between a dump and its restoration.
pub const MOST_RAISED: i64 = 1_000_000;

/// The newer revision that a node holds, if it is to be believed: the node has the placement and answers the command that is wanted there,
/// and the revision could have been reached since the dump that the database was restored from.
pub fn outruns(placement: &placement::Model, ack: &Ack) -> Option<Revision> {
    let Outcome::Superseded { holds } = ack.outcome else {
        return None;
    };
    let reachable = placement.wanted_revision..=placement.wanted_revision.saturating_add(MOST_RAISED);
    (ack.revision.0 == placement.wanted_revision && reachable.contains(&holds.0)).then_some(holds)
}

/// Whether the node has applied the wanted revision. `ops/users/end_removals.rs` has the same condition in SQL: change both.
pub fn is_settled(placement: &placement::Model) -> bool {
    placement.applied_revision >= placement.wanted_revision
}

/// Whether a user is synced, given all its placements and whether the profile of each of its devices is recorded: there is nothing left to wait
/// for. A user that is on no node never becomes synced, and neither does one whose home says that a profile can be made no more: it needs
/// another one. A removed user does not either: its row is deleted with its last ack.
pub fn is_synced(user: &user::Model, placements: &[placement::Model], has_profiles: bool) -> bool {
    let is_complete = has_profiles && !placements.is_empty() && placements.iter().all(is_settled);
    user.synced || (user.removed_at.is_none() && is_complete)
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use vpnmanager_entities::placement::Role;
    use vpnmanager_nats::ids::AgentInstance;

    use super::*;

    fn ack(revision: i64, outcome: Outcome) -> Ack {
        Ack {
            node: "node-1".parse().expect("a valid id"),
            instance: AgentInstance::new(),
            user_key: UserKey::new(),
            revision: Revision(revision),
            applied_at: Utc::now(),
            outcome,
        }
    }

    fn applied(revision: i64) -> Ack {
        ack(
            revision,
            Outcome::Applied {
                issued: None,
                further: Vec::new(),
                note: None,
            },
        )
    }

    fn placement(applied_revision: i64, wanted_revision: i64) -> placement::Model {
        placement::Model {
            id: 1,
            user_id: 1,
            server_id: "node-1".parse().expect("a valid id"),
            role: Role::Home,
            wanted_present: true,
            wanted_revision,
            applied_revision,
            applied_at: None,
            outcome: None,
            error: None,
            published_revision: wanted_revision,
            published_sequence: 1,
            published_at: None,
            attempts: 1,
            lease_until: DateTime::UNIX_EPOCH,
            urgent_since: None,
            asked_at: None,
            digest: 5,
            created_at: Utc::now(),
        }
    }

    #[test]
    fn an_ack_counts_between_the_applied_and_the_wanted_revision() {
        for (revision, counts) in [(1, false), (2, true), (3, true), (4, true), (5, false)] {
            let after = follow(&placement(2, 4), &applied(revision));
            assert_eq!(after.is_some(), counts, "{revision}");
            if let Some(after) = after {
                assert_eq!(after.applied_revision, revision);
                assert_eq!(is_settled(&after), revision == 4);
            }
        }
    }

    #[test]
    fn a_node_is_believed_about_a_newer_revision_within_reach_of_the_wanted_one() {
        let superseded = |revision, holds| ack(revision, Outcome::Superseded { holds: Revision(holds) });
        for (revision, holds, believed) in [
            (4, 7, true),
            (4, 4 + MOST_RAISED, true),
            (4, 5 + MOST_RAISED, false),
            (4, Revision::MAX, false),
            (4, 3, false),
            (3, 7, false),
            (5, 7, false),
        ] {
            let outrun = outruns(&placement(2, 4), &superseded(revision, holds));
            assert_eq!(outrun, believed.then_some(Revision(holds)), "{revision} {holds}");
        }
        assert_eq!(outruns(&placement(2, 4), &applied(4)), None);
    }

    #[test]
    fn only_applied_moves_the_revision_and_the_digest() {
        let before = placement(1, 2);
        let failed = || Outcome::Failed {
            error: "no disk".to_owned(),
        };
        let refused = || Outcome::Refused {
            error: "no such pool".to_owned(),
        };
        let superseded = || Outcome::Superseded { holds: Revision(9) };
        let cases = [
            (failed(), StoredOutcome::Failed, "no disk"),
            (refused(), StoredOutcome::Refused, "no such pool"),
            (superseded(), StoredOutcome::Superseded, "the node holds revision 9"),
        ];
        for (outcome, stored, error) in cases {
            let after = follow(&before, &ack(2, outcome)).expect("it counts");
            assert_eq!((after.applied_revision, after.digest), (1, 5));
            assert_eq!((after.outcome, after.error.as_deref()), (Some(stored), Some(error)));
        }

        let put = applied(2);
        let after = follow(&before, &put).expect("it counts");
        let digest = StateDigest::of(put.user_key, put.revision).0.cast_signed();
        assert_eq!((after.applied_revision, after.digest), (2, digest));
        let removal = placement::Model {
            wanted_present: false,
            ..before
        };
        assert_eq!(follow(&removal, &put).expect("it counts").digest, 0);
    }

    #[test]
    fn of_two_acks_for_one_placement_the_newer_counts() {
        let (older, newer) = (
            applied(1),
            Ack {
                revision: Revision(2),
                ..applied(2)
            },
        );
        let newer = Ack {
            user_key: older.user_key,
            ..newer
        };
        for acks in [[&older, &newer], [&newer, &older]] {
            assert_eq!(newest(&acks), [&newer]);
        }
    }
}
