//! Decides whether a node holds what it should: compares what it reports with its placements.

use chrono::{DateTime, TimeDelta, Utc};
use vpnmanager_nats::sync::{StateDigest, StreamId, SyncRequest};

/// A node that applied something this long after it looked at itself had its clock put back meanwhile: its times say nothing then.
const CLOCK_PUT_BACK: TimeDelta = TimeDelta::minutes(5);

/// What a node reports to hold.
#[derive(Debug, Clone, Copy)]
pub struct Held {
    /// Digest over its users and revisions.
    pub digest: StateDigest,
    /// When it computed the digest, by its clock.
    pub at: DateTime<Utc>,
    /// Whether it has ever held a complete snapshot.
    pub complete: bool,
    /// Local requests (creates and removals) that management has not answered yet.
    pub queued_intents: u64,
}

/// What the placements record of a node.
#[derive(Debug, Clone, Copy, Default)]
pub struct Recorded {
    /// Digest over what the node has applied.
    pub digest: StateDigest,
    /// Placements that it has applied.
    pub applied: i64,
    /// Placements that it has not applied yet.
    pub pending: i64,
    /// When it last applied something, by its clock.
    pub last_applied_at: Option<DateTime<Utc>>,
}

/// Whether the node's digest differs from the recorded one. `None` while that cannot be decided: something is pending on either side, or
/// the node computed its digest before it applied the newest change.
pub fn drifts(held: Held, recorded: Recorded) -> Option<bool> {
    let is_current = recorded
        .last_applied_at
        .is_none_or(|at| at < held.at || at - held.at > CLOCK_PUT_BACK);
    let is_settled = recorded.pending == 0 && held.queued_intents == 0;
    (held.complete && is_settled && is_current).then_some(held.digest != recorded.digest)
}

/// Whether the node begins anew although it has applied commands.
pub fn begins_anew(request: &SyncRequest, recorded: Recorded) -> bool {
    request.last_sequence == 0 && recorded.applied > 0
}

/// Why a node must get all its commands again; `None` if it need not.
pub fn reason_to_resync(request: &SyncRequest, recorded: Recorded, store: StreamId) -> Option<&'static str> {
    if request.stream.is_some_and(|stream| stream != store) {
        return Some("the bus has another store than the one that the node followed");
    }
    if begins_anew(request, recorded) {
        return Some("the node lost what it held");
    }
    let held = Held {
        digest: request.digest,
        at: request.at,
        complete: request.complete,
        queued_intents: request.queued_intents,
    };
    (drifts(held, recorded) == Some(true)).then_some("the node holds something else than it should")
}

#[cfg(test)]
mod tests {
    use vpnmanager_nats::ids::AgentInstance;

    use super::*;

    fn seconds(count: i64) -> TimeDelta {
        TimeDelta::seconds(count)
    }

    #[test]
    fn drift_is_told_only_when_both_sides_are_settled_and_the_node_looked_after_its_last_change() {
        let now = Utc::now();
        let held = Held {
            digest: StateDigest(7),
            at: now,
            complete: true,
            queued_intents: 0,
        };
        let recorded = Recorded {
            digest: StateDigest(7),
            applied: 3,
            pending: 0,
            last_applied_at: Some(now - seconds(1)),
        };
        let differing = Recorded {
            digest: StateDigest(8),
            ..recorded
        };
        let cases = [
            ("the same", held, recorded, Some(false)),
            ("another digest", held, differing, Some(true)),
            (
                "nothing was ever applied",
                held,
                Recorded {
                    last_applied_at: None,
                    ..differing
                },
                Some(true),
            ),
            (
                "a command is pending",
                held,
                Recorded {
                    pending: 1,
                    ..differing
                },
                None,
            ),
            (
                "a local request is queued",
                Held {
                    queued_intents: 1,
                    ..held
                },
                differing,
                None,
            ),
            (
                "the snapshot is not complete",
                Held {
                    complete: false,
                    ..held
                },
                differing,
                None,
            ),
            (
                "it looked at the moment of its last change",
                Held {
                    at: now - seconds(1),
                    ..held
                },
                differing,
                None,
            ),
            (
                "it looked before its last change",
                Held {
                    at: now - seconds(2),
                    ..held
                },
                differing,
                None,
            ),
            (
                "its clock was put back after its last change",
                held,
                Recorded {
                    last_applied_at: Some(now + TimeDelta::days(365)),
                    ..differing
                },
                Some(true),
            ),
        ];
        for (what, held, recorded, expected) in cases {
            assert_eq!(drifts(held, recorded), expected, "{what}");
        }
    }

    #[test]
    fn everything_is_sent_again_for_another_store_a_lost_journal_or_drift() {
        let now = Utc::now();
        let (ours, other) = (StreamId(1), StreamId(2));
        let request = SyncRequest {
            node: "node-1".parse().expect("a valid id"),
            instance: AgentInstance::new(),
            at: now,
            last_sequence: 9,
            users: 3,
            stream: Some(ours),
            digest: StateDigest(7),
            complete: true,
            queued_intents: 0,
            unsettled: 0,
            endpoint: None,
        };
        let recorded = Recorded {
            digest: StateDigest(7),
            applied: 3,
            pending: 0,
            last_applied_at: Some(now - seconds(1)),
        };
        let fresh = SyncRequest {
            last_sequence: 0,
            stream: None,
            ..request.clone()
        };
        let drifted = Recorded {
            digest: StateDigest(8),
            ..recorded
        };
        let cases = [
            (&request, recorded, ours, None),
            (
                &request,
                recorded,
                other,
                Some("the bus has another store than the one that the node followed"),
            ),
            (&fresh, recorded, ours, Some("the node lost what it held")),
            (&fresh, Recorded { applied: 0, ..recorded }, ours, None),
            (
                &request,
                drifted,
                ours,
                Some("the node holds something else than it should"),
            ),
            (&request, Recorded { pending: 1, ..drifted }, ours, None),
        ];
        for (request, recorded, store, expected) in cases {
            assert_eq!(reason_to_resync(request, recorded, store), expected);
        }
    }
}
