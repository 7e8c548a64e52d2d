//! Finds nodes that have too many connections, or send too much in all, by what the servers of the bus count.

use std::{
    collections::{BTreeMap, HashMap},
    num::NonZeroU32,
    time::Duration,
};

use vpnmanager_nats::security::{connections::NodeConnection, keys::NodePublicKey};

/// In the time between two looks a node may open so many times the connections that it may have. An honest one opens one, and a few more where
/// the network is bad.
const OPENED: u64 = 5;

/// A connection that is not listed is remembered for so many looks: the list is read in pages, so that one may be missing in it.
const MISSED: u32 = 3;

/// What one node may have and send.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at the same time.
    pub connections: NonZeroU32,
    /// Messages in a second.
    pub messages: NonZeroU32,
    /// Bytes in a second.
    pub bytes: NonZeroU32,
}

/// The counts of each connection at the last look.
#[derive(Debug, Default)]
pub struct Traffic {
    before: Option<HashMap<(String, u64), Counted>>,
}

/// What a connection had sent when it was last listed.
#[derive(Debug, Clone, Copy)]
struct Counted {
    messages: u64,
    bytes: u64,
    /// The looks since then.
    missed: u32,
}

#[derive(Default)]
struct Sum {
    connections: u64,
    opened: u64,
    messages: u64,
    bytes: u64,
}

impl Traffic {
    /// The keys that are beyond a limit, each with the reason for people. `now` holds closed connections too, because what was sent on one counts
    /// wherever it is sent next. `since` is the time since the last look; the first one counts open connections only, because nothing says when
    /// the messages were sent. A connection that was not listed before may still be older than the last look: of what it sent, the share of
    /// that time counts.
    pub fn look(&mut self, now: &[NodeConnection], since: Duration, limits: Limits) -> Vec<(NodePublicKey, String)> {
        let mut sums: BTreeMap<&NodePublicKey, Sum> = BTreeMap::new();
        for connection in now {
            let sum = sums.entry(&connection.key).or_default();
            sum.connections += u64::from(!connection.is_closed);
            let Some(before) = &self.before else { continue };
            if let Some(known) = before.get(&connection.id) {
                sum.messages += connection.messages.saturating_sub(known.messages);
                sum.bytes += connection.bytes.saturating_sub(known.bytes);
            } else {
                sum.opened += 1;
                sum.messages += lately(connection.messages, since, connection.age);
                sum.bytes += lately(connection.bytes, since, connection.age);
            }
        }
        let seconds = since.as_secs().max(1);
        let most = |limit: NonZeroU32| u64::from(limit.get());
        let excess = |sum: &Sum| {
            if sum.connections > most(limits.connections) {
                return Some(format!("it has {} connections", sum.connections));
            }
            if sum.opened > most(limits.connections) * OPENED {
                return Some(format!("it opened {} connections in {seconds} s", sum.opened));
            }
            let (messages, bytes) = (sum.messages / seconds, sum.bytes / seconds);
            if messages > most(limits.messages) {
                return Some(format!("it sends {messages} messages in a second"));
            }
            (bytes > most(limits.bytes)).then(|| format!("it sends {bytes} bytes in a second"))
        };
        let found = sums
            .iter()
            .filter_map(|(key, sum)| Some(((*key).clone(), excess(sum)?)));
        let found = found.collect();
        self.remember(now);
        found
    }

    fn remember(&mut self, now: &[NodeConnection]) {
        let counted = |one: &NodeConnection| Counted {
            messages: one.messages,
            bytes: one.bytes,
            missed: 0,
        };
        let mut counts: HashMap<_, _> = now.iter().map(|one| (one.id.clone(), counted(one))).collect();
        let before = self.before.take().unwrap_or_default();
        for (id, known) in before.into_iter().filter(|(_, known)| known.missed < MISSED) {
            let missed = known.missed + 1;
            counts.entry(id).or_insert(Counted { missed, ..known });
        }
        self.before = Some(counts);
    }
}

/// How much of what was sent within `age` was sent within `since`.
fn lately(sent: u64, since: Duration, age: Duration) -> u64 {
    if age <= since {
        return sent;
    }
    let share = u128::from(sent) * since.as_nanos() / age.as_nanos();
    u64::try_from(share).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use nkeys::KeyPair;

    use super::*;

    fn limits() -> Limits {
        let limit = |number| NonZeroU32::new(number).expect("not zero");
        Limits {
            connections: limit(2),
            messages: limit(100),
            bytes: limit(1000),
        }
    }

    fn connection(key: &NodePublicKey, cid: u64, messages: u64, bytes: u64) -> NodeConnection {
        NodeConnection {
            key: key.clone(),
            id: ("server".to_owned(), cid),
            is_closed: false,
            age: Duration::ZERO,
            messages,
            bytes,
        }
    }

    #[test]
    fn what_a_node_sent_since_the_last_look_counts_over_all_its_connections() {
        let key = || NodePublicKey::of(&KeyPair::new_user()).expect("a user key");
        let (quiet, busy) = (key(), key());
        let five = Duration::from_secs(5);
        let mut traffic = Traffic::default();
        let first = [connection(&quiet, 1, 1_000_000, 0), connection(&busy, 2, 0, 0)];
        assert_eq!(traffic.look(&first, five, limits()), [], "sent at an unknown time");

        let second = [
            connection(&quiet, 1, 1_000_500, 5000),
            connection(&busy, 2, 400, 0),
            connection(&busy, 3, 200, 0),
        ];
        let busy_now = (busy.clone(), "it sends 120 messages in a second".to_owned());
        assert_eq!(traffic.look(&second, five, limits()), [busy_now]);

        let third = [connection(&quiet, 1, 1_000_600, 20_000), connection(&busy, 3, 200, 0)];
        let quiet_now = (quiet, "it sends 3000 bytes in a second".to_owned());
        assert_eq!(traffic.look(&third, five, limits()), [quiet_now]);
    }

    #[test]
    fn what_was_sent_on_connections_that_are_closed_counts_and_so_does_opening_them() {
        let key = NodePublicKey::of(&KeyPair::new_user()).expect("a user key");
        let closed = |cid, messages| NodeConnection {
            is_closed: true,
            ..connection(&key, cid, messages, 0)
        };
        let five = Duration::from_secs(5);
        let mut traffic = Traffic::default();
        let long_ago = [1, 2, 3].map(|cid| closed(cid, 1_000_000));
        assert_eq!(traffic.look(&long_ago, five, limits()), []);

        let in_turn = [
            closed(3, 1_000_000),
            closed(4, 300),
            closed(5, 300),
            connection(&key, 6, 0, 0),
        ];
        let busy = (key.clone(), "it sends 120 messages in a second".to_owned());
        assert_eq!(traffic.look(&in_turn, five, limits()), [busy]);

        let churned: Vec<NodeConnection> = (7..18).map(|cid| closed(cid, 0)).collect();
        let opened = (key.clone(), "it opened 11 connections in 5 s".to_owned());
        assert_eq!(traffic.look(&churned, five, limits()), [opened]);
        assert_eq!(traffic.look(&churned, five, limits()), []);
    }

    #[test]
    fn a_connection_that_is_missing_in_a_list_is_not_taken_for_a_new_one() {
        let key = NodePublicKey::of(&KeyPair::new_user()).expect("a user key");
        let five = Duration::from_secs(5);
        let honest = |messages| NodeConnection {
            age: Duration::from_secs(1_000_000),
            ..connection(&key, 1, messages, 0)
        };
        let mut traffic = Traffic::default();
        assert_eq!(traffic.look(&[], five, limits()), [], "missing at the first look");
        assert_eq!(traffic.look(&[honest(1_000_000)], five, limits()), []);
        for _ in 0..MISSED {
            assert_eq!(traffic.look(&[], five, limits()), []);
        }
        assert_eq!(traffic.look(&[honest(1_000_400)], five, limits()), []);

        // Who opened it a moment before the last look hides nothing.
        let hidden = NodeConnection {
            age: Duration::from_secs(7),
            ..connection(&key, 2, 1_400, 0)
        };
        let found = traffic.look(&[honest(1_000_400), hidden], five, limits());
        assert_eq!(found, [(key, "it sends 200 messages in a second".to_owned())]);
    }

    #[test]
    fn too_many_connections_count_from_the_first_look() {
        let key = NodePublicKey::of(&KeyPair::new_user()).expect("a user key");
        let many = [1, 2, 3].map(|cid| connection(&key, cid, 0, 0));
        let mut traffic = Traffic::default();
        assert_eq!(traffic.look(&many[..2], Duration::ZERO, limits()), []);
        let found = traffic.look(&many, Duration::ZERO, limits());
        assert_eq!(found, [(key, "it has 3 connections".to_owned())]);
    }
}
