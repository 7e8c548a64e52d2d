//! What the streams and consumers must look like.

use std::time::Duration;

use async_nats::jetstream::{
    consumer::{AckPolicy, DeliverPolicy, pull},
    stream::{self, DiscardPolicy, RetentionPolicy, StorageType},
};

use super::{
    names::{self, COMMANDS, EVENTS_CONSUMER},
    options::TopologyOptions,
};
use crate::{acks::Ack, events::Event, ids::NodeId, payload::Payload, sessions::SessionReport, subjects};

/// The most unacked commands that the server delivers to one node.
const MAX_ACK_PENDING: i64 = 1024;
/// How long a node may hold a command unsettled. Prefetched messages count too, so it is longer than any batch takes.
const ACK_WAIT: Duration = Duration::from_secs(60);
/// After this time, reports that a dead replica left unsettled are delivered to another one. A batch is one transaction, and a
/// report that is delivered twice changes nothing.
const REPORT_ACK_WAIT: Duration = Duration::from_secs(5);

/// The most unsettled reports of one node in the hands of all replicas.
const MAX_REPORTS_PENDING: i64 = 2048;
/// Room for the reports of one node that management has not recorded, in bytes: about 40,000 acks. When it is full the server refuses more,
/// and the node sends them again later: an event that was once taken is recorded. (To refuse costs the server less than to make room, too:
/// measured under a flood, three quarters.) The server reserves it out of its `max_file`: 64 nodes to a GiB, so 6,400 in the 100 GiB that
/// `bus-init` gives it.
pub const REPORTS_ROOM: i64 = 16 << 20;
/// Room for the headers of a report, in bytes. An agent writes one, the id of the message, of 65 bytes.
const REPORT_HEADERS: usize = 1024;
/// The most bytes of a report with its headers, which the server counts too. It refuses a larger one, which management would not read.
pub const LARGEST_REPORT: usize = Event::MAX_BYTES + REPORT_HEADERS;
const _: () = assert!(Ack::MAX_BYTES <= Event::MAX_BYTES && SessionReport::MAX_BYTES <= Event::MAX_BYTES);
/// How long the server remembers the ids of reports (`Nats-Msg-Id`): the shortest time that it takes. It keeps each id in memory for that
/// time, however long a node made it, also when the report is recorded and gone. Nothing relies on it: an event is recorded once by the
/// id in it, and an ack that comes twice changes nothing.
const REPORT_IDS_KEPT: Duration = Duration::from_millis(100);

pub(super) fn commands(options: &TopologyOptions) -> stream::Config {
    stream::Config {
        name: COMMANDS.to_owned(),
        description: Some("Desired state of each user on each node; the newest command only".to_owned()),
        subjects: vec![subjects::ALL_COMMANDS.to_owned()],
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        discard: DiscardPolicy::Old,
        max_messages_per_subject: 1,
        // 2.15 servers allow 1,000 by default; one for each node.
        max_consumers: 20_000,
        max_messages: -1,
        max_bytes: -1,
        max_message_size: -1,
        num_replicas: options.replicas,
        duplicate_window: Duration::from_secs(120),
        allow_direct: true,
        allow_message_ttl: true,
        ..Default::default()
    }
}

/// A node's reports. What management has recorded is gone from it (a work queue), so the room is for what it has not.
pub(super) fn reports(node: &NodeId, options: &TopologyOptions) -> stream::Config {
    stream::Config {
        name: names::reports_stream(node),
        description: Some("Acks and events of one node, until management recorded them".to_owned()),
        subjects: vec![subjects::acks_of(node), subjects::events_of(node)],
        retention: RetentionPolicy::WorkQueue,
        storage: StorageType::File,
        discard: DiscardPolicy::New,
        max_consumers: -1,
        max_messages: -1,
        max_messages_per_subject: -1,
        max_message_size: i32::try_from(LARGEST_REPORT).unwrap_or(i32::MAX),
        max_bytes: REPORTS_ROOM,
        max_age: Duration::from_secs(7 * 24 * 60 * 60),
        num_replicas: options.replicas,
        duplicate_window: REPORT_IDS_KEPT,
        ..Default::default()
    }
}

/// The consumer of a node's reports that all management replicas share.
pub(super) fn reports_consumer() -> pull::Config {
    pull::Config {
        durable_name: Some(EVENTS_CONSUMER.to_owned()),
        ack_policy: AckPolicy::Explicit,
        ack_wait: REPORT_ACK_WAIT,
        max_ack_pending: MAX_REPORTS_PENDING,
        deliver_policy: DeliverPolicy::All,
        ..Default::default()
    }
}

/// Pulls of a node that may wait at the same time. The agent has one or two, and those of an agent that died wait until they expire. nats-server
/// sends a heartbeat for each as often as the pull says, however often that is.
pub(super) const MOST_PULLS: i64 = 8;
/// The longest that a pull may wait: as long as those of the agent.
pub(super) const LONGEST_PULL: Duration = Duration::from_secs(60);

/// The consumer from which one node pulls its commands.
pub(super) fn node_consumer(node: &NodeId, options: &TopologyOptions) -> pull::Config {
    pull::Config {
        durable_name: Some(node.to_string()),
        filter_subject: subjects::commands_of(node),
        ack_policy: AckPolicy::Explicit,
        ack_wait: ACK_WAIT,
        max_ack_pending: MAX_ACK_PENDING,
        deliver_policy: DeliverPolicy::All,
        memory_storage: options.memory_consumers,
        max_waiting: MOST_PULLS,
        max_expires: LONGEST_PULL,
        ..Default::default()
    }
}
