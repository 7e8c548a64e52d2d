//! `/health`: the node's health, for a person; below it, what an orchestrator and a load balancer ask.

use async_nats::connection::State;
use poem::web::Data;
use poem_openapi::{Enum, Object, OpenApi, payload::Json, types::Example};
use vpnmanager_nats::heartbeats::{OpenvpnHealth, OpenvpnState};
use vpnmanager_openapi::{problem::ApiError, remembered::Remembered};

use super::{
    local::{JUST_STARTED, LocalNode, internal},
    tags::Tag,
};
use crate::shared::Shared;

/// The node's health.
#[derive(Debug, Clone, Object)]
#[oai(example, skip_serializing_if_is_none)]
struct Health {
    /// The health in one word.
    status: NodeStatus,
    /// Release of the agent.
    version: String,
    /// Name of the node.
    server_id: String,
    /// Whether the bus is connected. The VPN does not depend on it.
    bus_connected: bool,
    /// Whether the node has applied everything that management wanted at the last handshake.
    in_sync: bool,
    /// Whether management is draining the node: its clients are moved to other nodes.
    draining: bool,
    /// Number of users that the node holds.
    users: u64,
    /// Number of local requests that wait for management.
    queued_intents: u64,
    /// The VPN server; absent until the node has enrolled.
    openvpn: Option<ServerHealth>,
    /// What is wrong, in words.
    detail: Option<String>,
}

/// That the process lives.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct Life {
    /// `alive`.
    status: String,
}

/// That requests may be sent here.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct Readiness {
    /// `ready`.
    status: String,
}

/// The VPN server's health.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none)]
struct ServerHealth {
    /// Whether it serves.
    state: ServerState,
    /// Its process id.
    pid: Option<u32>,
    /// Connected clients.
    sessions: u32,
    /// What is wrong, in words.
    detail: Option<String>,
}

/// The node in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
enum NodeStatus {
    /// Everything works.
    Ok,
    /// Something cannot be reached or is wrong, or the bus does not take what the node reports; `detail` says what.
    Degraded,
    /// Management has not enrolled the node yet.
    Enrolling,
    /// Management said that this node must not serve.
    Refused,
}

/// Whether the VPN server serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
enum ServerState {
    /// It accepts clients.
    Up,
    /// It should serve, and does not.
    Down,
    /// It does not serve yet, or must not serve.
    Waiting,
    /// The agent looks after no server.
    Absent,
}

/// What a node that must not serve cannot do without a server of its own.
const SESSIONS_GO_ON: &str = "New logins are refused; OPENVPN_MODE is none, so that the agent ends no session: end those that are open \
     where OpenVPN runs";

/// Without a key anybody may ask: journal and OpenVPN are asked at most four times a second.
#[derive(Default)]
pub(super) struct HealthApi {
    last: Remembered<Health>,
}

#[OpenApi(tag = "Tag::Node")]
impl HealthApi {
    /// Check the node's health
    ///
    /// Needs no key. Always answers 200; `status` tells the node's health.
    #[oai(path = "/health", method = "get", operation_id = "get_health")]
    async fn health(&self, node: Data<&LocalNode>) -> Result<Json<Health>, ApiError> {
        match node.shared_if_enrolled() {
            Some(shared) => self.last.try_get(health_of(shared)).await.map(Json),
            None => Ok(Json(not_there_yet(&node))),
        }
    }

    /// Check that the agent lives
    ///
    /// Needs no key. A 200 as long as the process answers at all.
    #[oai(path = "/health/live", method = "get", operation_id = "get_life")]
    async fn live(&self) -> Result<Json<Life>, ApiError> {
        Ok(Json(Life::example()))
    }

    /// Check that the agent takes requests
    ///
    /// Needs no key. A 503 means that the local API can do nothing yet, or must not: the node has not enrolled, its agent has just started, or
    /// management said that the node must not serve. The bus does not count: requests wait for it. Nor does OpenVPN: `/health` tells its state.
    #[oai(path = "/health/ready", method = "get", operation_id = "get_readiness")]
    async fn ready(&self, node: Data<&LocalNode>) -> Result<Json<Readiness>, ApiError> {
        match node.shared()?.readiness.refusal() {
            None => Ok(Json(Readiness::example())),
            Some(reason) => Err(ApiError::unavailable(reason)),
        }
    }
}

impl Example for Life {
    fn example() -> Self {
        Self {
            status: "alive".to_owned(),
        }
    }
}

impl Example for Readiness {
    fn example() -> Self {
        Self {
            status: "ready".to_owned(),
        }
    }
}

async fn health_of(shared: &Shared) -> Result<Health, ApiError> {
    let counts = shared
        .journal
        .read(|records| Ok((records.tally()?.users, records.count_queued_intents()?)));
    let (users, queued_intents) = counts.await.map_err(internal)?;
    let server = shared.server_health().await;
    let fault = shared.fault(&server);
    let openvpn = OpenvpnHealth::from(server);
    let bus_connected = shared.bus.connection_state() == State::Connected;
    let bus = if bus_connected {
        Ok(())
    } else {
        Err(shared.bus_trouble.text())
    };
    let in_sync = shared.readiness.is_caught_up();
    let node = Seen {
        refusal: shared.readiness.refusal(),
        fault,
        bus,
        lacking: shared.lack_of_users(),
        unreported: shared.reporting.fault(),
        in_sync,
    };
    let (status, detail) = status_of(node, &openvpn);
    Ok(Health {
        status,
        version: shared.node.version().to_owned(),
        server_id: shared.node.id.to_string(),
        bus_connected,
        in_sync,
        draining: shared.draining.pace().is_some(),
        users,
        queued_intents,
        openvpn: Some(ServerHealth {
            state: match openvpn.state {
                OpenvpnState::Up => ServerState::Up,
                OpenvpnState::Down => ServerState::Down,
                OpenvpnState::Waiting => ServerState::Waiting,
                OpenvpnState::Absent => ServerState::Absent,
            },
            pid: openvpn.pid,
            sessions: openvpn.sessions,
            detail: openvpn.detail,
        }),
        detail,
    })
}

/// What is known of the node besides its server.
#[derive(Debug, Clone)]
struct Seen {
    refusal: Option<String>,
    /// What degrades it although the server is as it should be.
    fault: Option<String>,
    /// Why there is no connection.
    bus: Result<(), String>,
    /// Which users it lacks.
    lacking: Option<String>,
    /// What it reports and the bus does not take.
    unreported: Option<String>,
    in_sync: bool,
}

/// The node in one word, and what is wrong: the worst first.
fn status_of(node: Seen, openvpn: &OpenvpnHealth) -> (NodeStatus, Option<String>) {
    let detail_or = |fallback: &str| openvpn.detail.clone().unwrap_or_else(|| fallback.to_owned());
    let (down, waiting) = match openvpn.state {
        OpenvpnState::Down => (Some(detail_or("OpenVPN does not answer")), None),
        OpenvpnState::Waiting => (None, Some(detail_or("OpenVPN does not serve yet"))),
        OpenvpnState::Up | OpenvpnState::Absent => (None, None),
    };
    if let Some(reason) = node.refusal {
        let reason = match openvpn.state {
            OpenvpnState::Absent => format!("{reason}. {SESSIONS_GO_ON}"),
            OpenvpnState::Up | OpenvpnState::Down | OpenvpnState::Waiting => reason,
        };
        return (NodeStatus::Refused, Some(reason));
    }
    let lags = || (!node.in_sync).then(|| "it is not in sync with management yet".to_owned());
    let wrong = down
        .or(node.fault)
        .or(node.bus.err())
        .or(node.lacking)
        .or(node.unreported)
        .or(waiting)
        .or_else(lags);
    match wrong {
        Some(reason) => (NodeStatus::Degraded, Some(reason)),
        None => (NodeStatus::Ok, None),
    }
}

/// Its parts are not there yet.
fn not_there_yet(node: &LocalNode) -> Health {
    let (status, detail) = match node.enrolling.text() {
        None => (NodeStatus::Degraded, JUST_STARTED.to_owned()),
        Some(why) => (NodeStatus::Enrolling, why),
    };
    Health {
        status,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        server_id: node.id.to_string(),
        bus_connected: false,
        in_sync: false,
        draining: false,
        users: 0,
        queued_intents: 0,
        openvpn: None,
        detail: Some(detail),
    }
}

impl Example for Health {
    fn example() -> Self {
        Self {
            status: NodeStatus::Ok,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            server_id: "endnode-1".to_owned(),
            bus_connected: true,
            in_sync: true,
            draining: false,
            users: 2,
            queued_intents: 0,
            openvpn: Some(ServerHealth {
                state: ServerState::Up,
                pid: Some(4242),
                sessions: 1,
                detail: None,
            }),
            detail: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{BackendHealth, BackendState};

    #[test]
    fn the_status_tells_the_worst_first() {
        let openvpn = |state, detail| OpenvpnHealth::from(BackendHealth::bare(state, detail));
        let away = || Err("no bus".to_owned());
        let without_a_server = format!("deregistered. {SESSIONS_GO_ON}");
        let cases = [
            (None, Ok(()), openvpn(BackendState::Up, ""), NodeStatus::Ok, None),
            (
                None,
                Ok(()),
                openvpn(BackendState::Absent, "not watched"),
                NodeStatus::Ok,
                None,
            ),
            (
                None,
                Ok(()),
                openvpn(BackendState::Starting, "starting"),
                NodeStatus::Degraded,
                Some("starting"),
            ),
            (
                None,
                Ok(()),
                openvpn(BackendState::Stopped, ""),
                NodeStatus::Degraded,
                Some("OpenVPN does not serve yet"),
            ),
            (
                None,
                away(),
                openvpn(BackendState::Up, ""),
                NodeStatus::Degraded,
                Some("no bus"),
            ),
            (
                None,
                away(),
                openvpn(BackendState::Down, ""),
                NodeStatus::Degraded,
                Some("OpenVPN does not answer"),
            ),
            (
                Some("deregistered"),
                away(),
                openvpn(BackendState::Down, "died"),
                NodeStatus::Refused,
                Some("deregistered"),
            ),
            (
                Some("deregistered"),
                Ok(()),
                openvpn(BackendState::Absent, "not watched"),
                NodeStatus::Refused,
                Some(&*without_a_server),
            ),
        ];
        let seen = |refusal: Option<&str>, bus| Seen {
            refusal: refusal.map(str::to_owned),
            fault: None,
            bus,
            lacking: None,
            unreported: None,
            in_sync: true,
        };
        for (refusal, bus, openvpn, status, detail) in cases {
            let found = status_of(seen(refusal, bus), &openvpn);
            assert_eq!(found, (status, detail.map(str::to_owned)), "{openvpn:?}");
        }
        let up = openvpn(BackendState::Up, "a remark");
        let lags = Seen {
            in_sync: false,
            ..seen(None, Ok(()))
        };
        let faulty = Seen {
            fault: Some("the disk is full".to_owned()),
            ..seen(None, Err("no bus".to_owned()))
        };
        let unheard = |bus| Seen {
            unreported: Some("the bus takes no acks".to_owned()),
            in_sync: false,
            ..seen(None, bus)
        };
        let empty = |bus| Seen {
            lacking: Some("it lacks users".to_owned()),
            in_sync: false,
            ..seen(None, bus)
        };
        for (node, expected) in [
            (empty(Ok(())), "it lacks users"),
            (empty(Err("refused".to_owned())), "refused"),
            (lags, "it is not in sync with management yet"),
            (faulty, "the disk is full"),
            (unheard(Ok(())), "the bus takes no acks"),
            (unheard(Err("no bus".to_owned())), "no bus"),
        ] {
            assert_eq!(status_of(node, &up), (NodeStatus::Degraded, Some(expected.to_owned())));
        }
    }
}
