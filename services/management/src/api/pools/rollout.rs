//! `/api/pools/{name}/rollout`: restarting OpenVPN on all servers of a pool, and how far that is.

use std::time::Duration;

use chrono::DateTime;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{ApiResponse, Enum, Object};
use vpnmanager_entities::{rollout, rollout_node};
use vpnmanager_nats::ids::NodeId;
use vpnmanager_openapi::problem::ApiError;
use vpnmanager_openapi::time::Timestamp;

use crate::api::durations::DrainTime;
use crate::api::failure;
use crate::app::App;
use crate::domain::actor::Actor;
use crate::ops::rollouts::start::Restarts;
use crate::ops::rollouts::{RolloutView, read, start, stop};

const DRAIN_FOR: Duration = Duration::from_secs(10 * 60);

/// How the servers are restarted.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub(super) struct NewRollout {
    /// Whether the clients of a server are moved to others before it is restarted. Without it they lose the tunnel for a moment, and come back by
    /// themselves.
    #[oai(default = "drains")]
    drain: bool,
    /// How long that may take at most on one server, 10s to 24h; whoever is left then loses the tunnel for a moment. Without it 10m.
    drain_for: Option<DrainTime>,
}

fn drains() -> bool {
    true
}

/// How far a restart of OpenVPN on all servers of a pool is.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub(super) struct Rollout {
    /// Its number.
    id: i64,
    /// The pool.
    pool: String,
    /// How far it is.
    state: RolloutState,
    /// Whether the clients of a server are moved to others before it is restarted.
    drain: bool,
    /// How long that may take on one server, in seconds.
    drain_for_seconds: i32,
    /// Who asked for it, as the audit trail names them.
    asked_by: String,
    /// When it was asked for.
    asked_at: Timestamp,
    /// Who stopped it, as the audit trail names them. While it goes on, it ends once the server that restarts serves again.
    stopped_by: Option<String>,
    /// When it ended; absent while it goes on.
    ended_at: Option<Timestamp>,
    /// Why it failed, and what to do.
    detail: Option<String>,
    /// Its servers, in the order of their turns.
    nodes: Vec<RolloutNode>,
}

/// A server of a rollout.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
struct RolloutNode {
    /// The server.
    server_id: String,
    /// How far it is.
    state: RolloutNodeState,
    /// Since when it has been in this state.
    since: Timestamp,
    /// Sessions that are left while it is drained, from its last heartbeat.
    sessions_left: Option<i32>,
    /// What it waits for, or why it was skipped or failed.
    detail: Option<String>,
}

/// How far a rollout is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
enum RolloutState {
    /// It goes on.
    Running,
    /// Each server had its turn.
    Done,
    /// An operator stopped it.
    Stopped,
    /// It could not go on; `detail` says why.
    Failed,
}

/// How far a server of a rollout is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
enum RolloutNodeState {
    /// Its turn has not come; `detail` says what it waits for once it has.
    Waiting,
    /// Its clients are moved to other servers.
    Draining,
    /// Its OpenVPN restarts.
    Restarting,
    /// It was restarted, and serves.
    Done,
    /// It was not restarted; `detail` says why.
    Skipped,
    /// It did not come back; `detail` says what to do.
    Failed,
}

#[derive(Debug, ApiResponse)]
pub(super) enum RolloutStarted {
    /// It is recorded, and goes on in the background.
    #[oai(status = 202)]
    Accepted(Json<Rollout>),
}

pub(super) async fn start(
    app: &App,
    actor: &Actor,
    pool: &NodeId,
    body: &NewRollout,
) -> Result<RolloutStarted, ApiError> {
    start::start_rollout(app, actor, pool, body.restarts())
        .await
        .map(|view| RolloutStarted::Accepted(Json(Rollout::of(view))))
        .map_err(|error| failure::pools::of_start_rollout(app, error))
}

pub(super) async fn get(app: &App, pool: &NodeId) -> Result<Rollout, ApiError> {
    read::read_rollout(&app.db, pool)
        .await
        .map(Rollout::of)
        .map_err(|error| failure::pools::of_rollout(app, error))
}

pub(super) async fn stop(app: &App, actor: &Actor, pool: &NodeId) -> Result<Rollout, ApiError> {
    stop::stop_rollout(app, actor, pool)
        .await
        .map(Rollout::of)
        .map_err(|error| failure::pools::of_rollout(app, error))
}

impl NewRollout {
    fn restarts(&self) -> Restarts {
        Restarts {
            drain: self.drain,
            drain_for: self.drain_for.as_ref().map_or(DRAIN_FOR, DrainTime::duration),
        }
    }
}

impl Rollout {
    fn of(view: RolloutView) -> Self {
        let RolloutView { rollout, nodes } = view;
        Self {
            id: rollout.id,
            pool: rollout.pool.to_string(),
            state: match rollout.state {
                rollout::RolloutState::Running => RolloutState::Running,
                rollout::RolloutState::Done => RolloutState::Done,
                rollout::RolloutState::Stopped => RolloutState::Stopped,
                rollout::RolloutState::Failed => RolloutState::Failed,
            },
            drain: rollout.drain,
            drain_for_seconds: rollout.drain_for_seconds,
            asked_by: rollout.actor,
            asked_at: rollout.asked_at.into(),
            stopped_by: rollout.stopped_by,
            ended_at: rollout.ended_at.map(Timestamp::from),
            detail: rollout.detail,
            nodes: nodes.into_iter().map(RolloutNode::of).collect(),
        }
    }
}

impl RolloutNode {
    fn of(node: rollout_node::Model) -> Self {
        Self {
            server_id: node.server_id.to_string(),
            state: match node.state {
                rollout_node::RolloutNodeState::Waiting => RolloutNodeState::Waiting,
                rollout_node::RolloutNodeState::Draining => RolloutNodeState::Draining,
                rollout_node::RolloutNodeState::Restarting => RolloutNodeState::Restarting,
                rollout_node::RolloutNodeState::Done => RolloutNodeState::Done,
                rollout_node::RolloutNodeState::Skipped => RolloutNodeState::Skipped,
                rollout_node::RolloutNodeState::Failed => RolloutNodeState::Failed,
            },
            since: node.since.into(),
            sessions_left: node.sessions_left,
            detail: node.detail,
        }
    }
}

impl Example for NewRollout {
    fn example() -> Self {
        Self {
            drain: true,
            drain_for: Some("10m".parse().expect("a valid time")),
        }
    }
}

impl Example for Rollout {
    fn example() -> Self {
        let at = |seconds| Timestamp::from(DateTime::from_timestamp(seconds, 0).unwrap_or_default());
        let node = |server_id: &str, state, since| RolloutNode {
            server_id: server_id.to_owned(),
            state,
            since: at(since),
            sessions_left: None,
            detail: None,
        };
        Self {
            id: 3,
            pool: "default".to_owned(),
            state: RolloutState::Running,
            drain: true,
            drain_for_seconds: 600,
            asked_by: "key:admin".to_owned(),
            asked_at: at(1_795_000_000),
            stopped_by: None,
            ended_at: None,
            detail: None,
            nodes: vec![
                node("endnode-1", RolloutNodeState::Done, 1_795_000_070),
                RolloutNode {
                    sessions_left: Some(12),
                    ..node("endnode-2", RolloutNodeState::Draining, 1_795_000_071)
                },
            ],
        }
    }
}
