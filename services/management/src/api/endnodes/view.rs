//! An end-node as the API shows it.

use chrono::DateTime;
use poem_openapi::types::Example;
use poem_openapi::{Enum, Object};
use vpnmanager_entities::{health_status, server};
use vpnmanager_openapi::time::Timestamp;

use crate::ops::nodes::read::{NodeView, Progress};

/// An end-node: what it is, how it is, and how far it follows.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub(crate) struct Endnode {
    /// Its id.
    server_id: String,
    /// How it is, by the age and content of its heartbeats.
    state: EndnodeState,
    /// Why, in words.
    state_reason: Option<String>,
    /// Since when.
    state_since: Timestamp,
    /// Its last heartbeat.
    last_seen: Option<Timestamp>,
    /// Since when it was lost, until it is healthy and in sync again; no user is placed on it meanwhile.
    lost_since: Option<Timestamp>,
    /// Its last completed sync with management.
    last_sync: Option<Timestamp>,
    /// Whether new users are placed here.
    enabled: bool,
    /// Whether its clients are being moved away.
    draining: bool,
    /// How far that is; absent while it is not draining.
    drain: Option<EndnodeDrain>,
    /// Users of a pool are placed on servers of that pool.
    pool: String,
    /// What clients dial.
    host: String,
    /// The port that clients dial.
    port: i32,
    /// The transport of its tunnels: `udp` or `tcp`.
    protocol: String,
    /// The address that it registered from.
    registered_from: String,
    /// When it was enrolled.
    created_at: Timestamp,
    /// Release of its agent.
    agent_version: Option<String>,
    /// The public NKey of its agent.
    bus_public_key: String,
    /// Clients that it takes at most.
    capacity: Option<i32>,
    /// How far it follows.
    sync: EndnodeSync,
    /// What it said last.
    health: Option<EndnodeHealth>,
}

/// How far the moving of clients is.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none)]
struct EndnodeDrain {
    /// Whether its agent says that it moves them.
    confirmed: bool,
    /// Sessions that it still has, by its last heartbeat.
    sessions_left: Option<i32>,
}

/// How far an end-node follows what management wants.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none)]
struct EndnodeSync {
    /// Users that it should hold.
    wanted: i64,
    /// Commands that it has applied.
    applied: i64,
    /// Commands, removals included, that it has not.
    pending: i64,
    /// Since when the oldest of these waits.
    oldest_pending_at: Option<Timestamp>,
    /// Whether it holds exactly what it should; absent while that cannot be told.
    digest_match: Option<bool>,
    /// Sequence in the stream of the last command that it settled, by its last heartbeat.
    last_sequence: Option<i64>,
    /// The newest error that it gave.
    last_error: Option<String>,
}

/// What an end-node said last.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none)]
struct EndnodeHealth {
    /// When it came.
    received_at: Timestamp,
    /// Its clock minus ours, in milliseconds; includes the way.
    clock_skew_ms: i64,
    /// OpenVPN: `up`, `down`, `waiting` or `absent`.
    openvpn_state: String,
    /// OpenVPN's process id.
    openvpn_pid: Option<i64>,
    /// Live sessions.
    sessions: i32,
    /// Sessions that fit at most.
    capacity: i32,
    /// Bytes received from clients since OpenVPN started.
    bytes_in: i64,
    /// Bytes sent to clients since OpenVPN started.
    bytes_out: i64,
    /// Users that it holds.
    users: i64,
    /// Whether it ever held a complete snapshot; before that it does not serve.
    complete: bool,
    /// Local requests that wait for management.
    queued_intents: i64,
    /// Whether it moves its clients away.
    draining: bool,
    /// What is wrong, in words.
    detail: Option<String>,
}

/// How an end-node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
enum EndnodeState {
    /// Registered, no heartbeat yet.
    Enrolled,
    /// Serves.
    Healthy,
    /// Heard of, with a fault of its own.
    Degraded,
    /// Not heard of for longer than a missed heartbeat explains.
    Stale,
    /// Not heard of for so long that its users should be elsewhere.
    Lost,
}

impl Endnode {
    pub(super) fn of(view: NodeView) -> Self {
        let digest_match = view.digest_matches();
        let NodeView {
            server,
            health,
            progress,
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
            last_sync: server.last_sync.map(Timestamp::from),
            enabled: server.enabled,
            draining: server.draining,
            drain: server.draining.then(|| EndnodeDrain {
                confirmed: health.as_ref().is_some_and(|health| health.draining),
                sessions_left: health.as_ref().map(|health| health.sessions),
            }),
            pool: server.pool,
            host: server.public_host.to_string(),
            port: server.public_port,
            protocol: server.public_protocol.to_string(),
            registered_from: server.host,
            created_at: server.created_at.into(),
            agent_version: server.agent_version,
            bus_public_key: server.bus_public_key.as_str().to_owned(),
            capacity: server.capacity,
            sync: EndnodeSync::of(progress, digest_match, health.as_ref()),
            health: health.map(EndnodeHealth::of),
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
            last_sync: Some(at(1_795_000_006)),
            enabled: true,
            draining: false,
            drain: None,
            pool: "default".to_owned(),
            host: "vpn1.example.org".to_owned(),
            port: 1194,
            protocol: "udp".to_owned(),
            registered_from: "192.0.2.11".to_owned(),
            created_at: at(1_795_000_000),
            agent_version: Some("0.1.0".to_owned()),
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
