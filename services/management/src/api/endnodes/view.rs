//! An end-node as the API shows it.

use chrono::{DateTime, Utc};
use poem_openapi::types::Example;
use poem_openapi::{Enum, Object};
use vpnmanager_entities::{health_status, server};
use vpnmanager_openapi::time::Timestamp;

use crate::api::scalars::ListenerText;
use crate::domain::agent_features::Feature;
use crate::ops::nodes::read::{GroupsProgress, NetworkProgress, NodeView, Progress};

/// An end-node: its settings, its state, and how far it is in sync.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub(crate) struct Endnode {
    /// Its id.
    server_id: String,
    /// Its state, decided from the age and the content of its heartbeats.
    state: EndnodeState,
    /// The reason for the state, for people. A healthy server has one while it runs no OpenVPN: it serves nobody itself.
    state_reason: Option<String>,
    /// Since when it has been in this state.
    state_since: Timestamp,
    /// When its last heartbeat arrived.
    last_seen: Option<Timestamp>,
    /// Since when it has been lost. Kept until it is healthy and in sync again; until then no user is placed on it.
    lost_since: Option<Timestamp>,
    /// Until when the bus refuses it, because it sent far more than its budget; absent when it may connect.
    cut_off_until: Option<Timestamp>,
    /// When it last completed a sync with management.
    last_sync: Option<Timestamp>,
    /// Whether new users are placed on it; `disable` and `enable` change this.
    enabled: bool,
    /// Whether its clients are being moved away.
    draining: bool,
    /// Progress of the drain; absent while it is not draining.
    drain: Option<EndnodeDrain>,
    /// Its pool. Users of a pool are placed only on servers of that pool.
    pool: String,
    /// The pool that its agent is configured for, where that is another: `move` takes it there.
    asked_pool: Option<String>,
    /// Since when its users leave it, because it was deregistered or moves to another pool; absent otherwise.
    leaving_since: Option<Timestamp>,
    /// The DNS name or address that clients connect to.
    host: String,
    /// Where clients connect to it: 1 to 4 transports with a port each, those of UDP first. Profiles name them.
    listeners: Vec<ListenerText>,
    /// The port of the first of `listeners`.
    port: i32,
    /// The transport of the first of `listeners`: `udp` or `tcp`.
    protocol: String,
    /// The address that it registered from.
    registered_from: String,
    /// When it was enrolled.
    created_at: Timestamp,
    /// Version of its agent.
    agent_version: Option<String>,
    /// What some of its users need and its agent does not do, because it is of an older release; empty where there is nothing of the kind.
    agent_lacks: Vec<EndnodeLack>,
    /// The public NKey of its agent.
    bus_public_key: String,
    /// The most clients that its agent is configured for. `health.capacity` is what its OpenVPN runs with.
    capacity: Option<i32>,
    /// How far it is in sync.
    sync: EndnodeSync,
    /// How far it has applied the network of its pool; absent where the pool has none.
    network: Option<EndnodeNetwork>,
    /// How far it has applied the groups.
    groups: Option<EndnodeGroups>,
    /// Its last heartbeat.
    health: Option<EndnodeHealth>,
}

/// What some users of an end-node need, and its agent is too old for.
#[derive(Debug, Clone, Object)]
struct EndnodeLack {
    /// What it is: `old_certificates`.
    feature: String,
    /// The first release whose agents do it.
    since: String,
    /// What the agent does without it, for people.
    effect: String,
}

/// The progress of a drain.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none)]
struct EndnodeDrain {
    /// Whether its agent has confirmed the drain.
    confirmed: bool,
    /// Sessions that are left, from its last heartbeat.
    sessions_left: Option<i32>,
}

/// How far an end-node has applied what management wants.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none)]
struct EndnodeSync {
    /// Users that it should hold.
    wanted: i64,
    /// Commands that it has applied.
    applied: i64,
    /// Commands that it has not applied yet, including removals.
    pending: i64,
    /// Since when the oldest pending command has been waiting.
    oldest_pending_at: Option<Timestamp>,
    /// Whether it holds exactly the users and revisions that it should; absent while that is unknown.
    digest_match: Option<bool>,
    /// Stream sequence of the last command that it settled, from its last heartbeat.
    last_sequence: Option<i64>,
    /// The newest error that it reported.
    last_error: Option<String>,
}

/// How far an end-node has applied the network of its pool.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none)]
struct EndnodeNetwork {
    /// The revision of the pool.
    wanted_revision: i64,
    /// The revision that it has applied, from its last heartbeat; absent: none, or that of another pool. An agent that does not run OpenVPN
    /// applies none.
    applied_revision: Option<i64>,
    /// Whether it has applied the wanted one.
    applied: bool,
}

/// How far an end-node has applied the groups.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none)]
struct EndnodeGroups {
    /// How often what the groups ask of servers was changed.
    wanted_revision: i64,
    /// The revision that it holds members to, from its last heartbeat; absent: none. An agent that does not run OpenVPN, and one of a release
    /// before groups, holds nobody to anything.
    applied_revision: Option<i64>,
    /// Whether it has applied the wanted one.
    applied: bool,
}

/// The last heartbeat of an end-node.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none)]
struct EndnodeHealth {
    /// When it arrived.
    received_at: Timestamp,
    /// The end-node's clock minus management's clock, in milliseconds; the heartbeat's travel time makes it lower.
    clock_skew_ms: i64,
    /// State of OpenVPN: `up`, `down`, `waiting` or `absent`.
    openvpn_state: String,
    /// OpenVPN's process id.
    openvpn_pid: Option<i64>,
    /// Live sessions.
    sessions: i32,
    /// The most sessions that it can have.
    capacity: i32,
    /// Bytes received from clients since OpenVPN started.
    bytes_in: i64,
    /// Bytes sent to clients since OpenVPN started.
    bytes_out: i64,
    /// Users that it holds.
    users: i64,
    /// Whether it has ever held a complete snapshot; before that it does not serve.
    complete: bool,
    /// Local requests that wait for management.
    queued_intents: i64,
    /// Whether it is draining.
    draining: bool,
    /// What is wrong, for people.
    detail: Option<String>,
}

/// The state of an end-node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
enum EndnodeState {
    /// It is registered; no heartbeat has arrived yet.
    Enrolled,
    /// Heartbeats arrive and report no fault; a `state_reason` says if it serves nobody itself.
    Healthy,
    /// Heartbeats arrive, but something is wrong; `state_reason` says what.
    Degraded,
    /// No heartbeat for longer than `HEALTH_STALE_AFTER`.
    Stale,
    /// No heartbeat for longer than `HEALTH_LOST_AFTER`.
    Lost,
}

impl Endnode {
    pub(super) fn of(view: NodeView) -> Self {
        let digest_match = view.digest_matches();
        let NodeView {
            server,
            health,
            progress,
            network,
            groups,
            unmet,
        } = view;
        Self {
            server_id: server.name.to_string(),
            state: match server.state {
                server::NodeState::Enrolled => EndnodeState::Enrolled,
                server::NodeState::Healthy => EndnodeState::Healthy,
                server::NodeState::Degraded => EndnodeState::Degraded,
                server::NodeState::Stale => EndnodeState::Stale,
                server::NodeState::Lost => EndnodeState::Lost,
            },
            state_reason: server.state_reason,
            state_since: server.state_since.into(),
            last_seen: server.last_seen.map(Timestamp::from),
            lost_since: server.lost_since.map(Timestamp::from),
            cut_off_until: server
                .cut_off_until
                .filter(|until| *until > Utc::now())
                .map(Timestamp::from),
            last_sync: server.last_sync.map(Timestamp::from),
            enabled: server.enabled,
            draining: server.draining,
            drain: server.draining.then(|| EndnodeDrain {
                confirmed: health.as_ref().is_some_and(|health| health.draining),
                sessions_left: health.as_ref().map(|health| health.sessions),
            }),
            pool: server.pool,
            asked_pool: server.asked_pool,
            leaving_since: server.leaving_since.map(Timestamp::from),
            host: server.public_host.to_string(),
            listeners: server.listeners.iter().map(ListenerText).collect(),
            port: server.public_port,
            protocol: server.public_protocol.to_string(),
            registered_from: server.host,
            created_at: server.created_at.into(),
            agent_version: server.agent_version,
            agent_lacks: unmet.into_iter().map(EndnodeLack::of).collect(),
            bus_public_key: server.bus_public_key.as_str().to_owned(),
            capacity: server.capacity,
            sync: EndnodeSync::of(progress, digest_match, health.as_ref()),
            network: network.map(EndnodeNetwork::of),
            groups: groups.map(EndnodeGroups::of),
            health: health.map(EndnodeHealth::of),
        }
    }
}

impl EndnodeLack {
    fn of(feature: Feature) -> Self {
        Self {
            feature: feature.as_str().to_owned(),
            since: feature.since().to_string(),
            effect: feature.effect().to_owned(),
        }
    }
}

impl EndnodeSync {
    fn of(progress: Progress, digest_match: Option<bool>, health: Option<&health_status::Model>) -> Self {
        Self {
            wanted: progress.wanted,
            applied: progress.applied,
            pending: progress.pending,
            oldest_pending_at: progress.oldest_pending_at.map(Timestamp::from),
            digest_match,
            last_sequence: health.map(|health| health.last_sequence),
            last_error: progress.last_error,
        }
    }
}

impl EndnodeNetwork {
    fn of(progress: NetworkProgress) -> Self {
        Self {
            wanted_revision: progress.wanted_revision,
            applied_revision: progress.applied_revision,
            applied: progress.is_applied(),
        }
    }
}

impl EndnodeGroups {
    fn of(progress: GroupsProgress) -> Self {
        Self {
            wanted_revision: progress.wanted_revision,
            applied_revision: progress.applied_revision,
            applied: progress.is_applied(),
        }
    }
}

impl EndnodeHealth {
    fn of(health: health_status::Model) -> Self {
        Self {
            received_at: health.received_at.into(),
            clock_skew_ms: health.clock_skew_ms,
            openvpn_state: health.openvpn_state.to_string(),
            openvpn_pid: health.openvpn_pid,
            sessions: health.sessions,
            capacity: health.capacity,
            bytes_in: health.bytes_in,
            bytes_out: health.bytes_out,
            users: health.users,
            complete: health.complete,
            queued_intents: health.queued_intents,
            draining: health.draining,
            detail: health.detail,
        }
    }
}

impl Example for Endnode {
    fn example() -> Self {
        let at = |seconds| Timestamp::from(DateTime::from_timestamp(seconds, 0).unwrap_or_default());
        Self {
            server_id: "endnode-1".to_owned(),
            state: EndnodeState::Healthy,
            state_reason: None,
            state_since: at(1_795_000_005),
            last_seen: Some(at(1_795_086_400)),
            lost_since: None,
            cut_off_until: None,
            last_sync: Some(at(1_795_000_006)),
            enabled: true,
            draining: false,
            drain: None,
            pool: "default".to_owned(),
            asked_pool: None,
            leaving_since: None,
            host: "vpn1.example.org".to_owned(),
            listeners: ["udp:1194", "tcp:443"]
                .map(|text| ListenerText(text.parse().expect("a valid listener")))
                .into(),
            port: 1194,
            protocol: "udp".to_owned(),
            registered_from: "192.0.2.11".to_owned(),
            created_at: at(1_795_000_000),
            agent_version: Some("0.2.0".to_owned()),
            agent_lacks: Vec::new(),
            bus_public_key: "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4".to_owned(),
            capacity: Some(1000),
            sync: EndnodeSync {
                wanted: 120,
                applied: 120,
                pending: 0,
                oldest_pending_at: None,
                digest_match: Some(true),
                last_sequence: Some(4711),
                last_error: None,
            },
            network: Some(EndnodeNetwork {
                wanted_revision: 7,
                applied_revision: Some(7),
                applied: true,
            }),
            groups: Some(EndnodeGroups {
                wanted_revision: 4,
                applied_revision: Some(4),
                applied: true,
            }),
            health: Some(EndnodeHealth {
                received_at: at(1_795_086_400),
                clock_skew_ms: -3,
                openvpn_state: "up".to_owned(),
                openvpn_pid: Some(4711),
                sessions: 37,
                capacity: 1000,
                bytes_in: 918_273_645,
                bytes_out: 5_463_728_190,
                users: 120,
                complete: true,
                queued_intents: 0,
                draining: false,
                detail: None,
            }),
        }
    }
}
