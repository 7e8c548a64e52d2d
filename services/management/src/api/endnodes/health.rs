//! `POST /api/endnodes/{server_id}/health`.

use chrono::Utc;
use poem_openapi::Object;
use poem_openapi::types::Example;
use vpnmanager_entities::health_status;
use vpnmanager_nats::heartbeats::{Heartbeat, OpenvpnHealth, OpenvpnState};
use vpnmanager_nats::ids::{AgentInstance, NodeId, Revision};
use vpnmanager_nats::network::AppliedNetwork;
use vpnmanager_openapi::problem::ApiError;

use super::view::Endnode;
use crate::{
    api::{
        failure,
        scalars::{FreeText, OpenvpnStateText, VersionText},
    },
    app::App,
    ops::nodes::{
        read::{self, NodeView},
        received::{Received, Speaker},
        record_heartbeats::record_heartbeats,
    },
};

/// The health of an end-node. Every field is optional; an empty report only says that the end-node is alive.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub(crate) struct HealthReport {
    /// Whether OpenVPN serves: `up`, `down` (it should serve but does not), `waiting` (the end-node holds no complete snapshot yet) or `absent`
    /// (the agent runs no OpenVPN).
    openvpn_state: Option<OpenvpnStateText>,
    /// OpenVPN's process id.
    #[oai(validator(minimum(value = "1")))]
    openvpn_pid: Option<u32>,
    /// Live sessions.
    #[oai(validator(minimum(value = "0"), maximum(value = "10000000")))]
    sessions: Option<u32>,
    /// The most sessions that it can have.
    #[oai(validator(minimum(value = "0"), maximum(value = "10000000")))]
    capacity: Option<u32>,
    /// Bytes received from clients since OpenVPN started.
    #[oai(validator(minimum(value = "0")))]
    bytes_in: Option<u64>,
    /// Bytes sent to clients since OpenVPN started.
    #[oai(validator(minimum(value = "0")))]
    bytes_out: Option<u64>,
    /// Version of the agent.
    agent_version: Option<VersionText>,
    /// What is wrong, for people.
    detail: Option<FreeText>,
}

pub(super) async fn report(app: &App, node: &NodeId, report: HealthReport) -> Result<Endnode, ApiError> {
    let known = find(app, node).await?;
    let received = Received {
        heartbeat: heartbeat(node, &known, report),
        at: app.clock.now(),
        by: Speaker::Monitoring,
    };
    record_heartbeats(&app.db, app.config.health, &[received])
        .await
        .map_err(|error| failure::database(app, error))?;
    find(app, node).await.map(Endnode::of)
}

async fn find(app: &App, node: &NodeId) -> Result<NodeView, ApiError> {
    let found = read::get_node(app, node)
        .await
        .map_err(|error| failure::database(app, error))?;
    found.ok_or_else(failure::nodes::unknown_server)
}

/// Turns the report into a heartbeat. A field that the report leaves out is taken from the last heartbeat.
fn heartbeat(node: &NodeId, known: &NodeView, report: HealthReport) -> Heartbeat {
    let last = known.health.as_ref();
    let count = |value: Option<i32>| value.and_then(|value| u32::try_from(value).ok()).unwrap_or_default();
    let amount = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok()).unwrap_or_default();
    let reported = report.openvpn_state.map(|state| state.0);
    let state = reported.or_else(|| last.map(|last| last.openvpn_state));
    Heartbeat {
        node: node.clone(),
        instance: last.map_or_else(AgentInstance::new, |last| last.instance),
        at: Utc::now(),
        agent_version: report
            .agent_version
            .map(VersionText::into_string)
            .or_else(|| known.server.agent_version.clone())
            .unwrap_or_default(),
        uptime_seconds: 0,
        openvpn: OpenvpnHealth {
            state: state.unwrap_or(OpenvpnState::Absent),
            pid: report.openvpn_pid.or_else(|| last?.openvpn_pid?.try_into().ok()),
            version: None,
            sessions: report.sessions.unwrap_or_else(|| count(last.map(|last| last.sessions))),
            capacity: report.capacity.unwrap_or_else(|| count(last.map(|last| last.capacity))),
            bytes_in: report
                .bytes_in
                .unwrap_or_else(|| amount(last.map(|last| last.bytes_in))),
            bytes_out: report
                .bytes_out
                .unwrap_or_else(|| amount(last.map(|last| last.bytes_out))),
            // Not taken from the last heartbeat: that text explained the state of that time.
            detail: report.detail.map(FreeText::into_string),
        },
        users: amount(last.map(|last| last.users)),
        digest: last.map(|last| last.digest).unwrap_or_default(),
        last_sequence: amount(last.map(|last| last.last_sequence)),
        complete: last.is_some_and(|last| last.complete),
        queued_intents: amount(last.map(|last| last.queued_intents)),
        draining: last.is_some_and(|last| last.draining),
        disk_free_bytes: None,
        // Only the agent knows whether it is over.
        fault: last.and_then(|last| last.fault.clone()),
        certificate_expires_at: None,
        network: last.and_then(applied_network),
        groups: last.and_then(|last| last.groups_revision).map(Revision),
    }
}

/// Only the agent knows what it has applied.
fn applied_network(last: &health_status::Model) -> Option<AppliedNetwork> {
    Some(AppliedNetwork {
        pool: last.network_pool.clone()?,
        revision: Revision(last.network_revision?),
    })
}

impl Example for HealthReport {
    fn example() -> Self {
        Self {
            openvpn_state: Some(OpenvpnStateText(OpenvpnState::Up)),
            openvpn_pid: Some(4711),
            sessions: Some(37),
            capacity: Some(1000),
            bytes_in: None,
            bytes_out: None,
            agent_version: None,
            detail: None,
        }
    }
}
