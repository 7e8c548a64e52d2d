//! `agent_runs`: the runs of each node's agent that were heard from recently.
//! Two live runs of one node mean that the node was cloned.

use sea_orm::entity::prelude::*;
use vpnmanager_nats::ids::{AgentInstance, NodeId};

/// One run of one node's agent.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "agent_runs")]
pub struct Model {
    /// The node that the agent belongs to.
    #[sea_orm(primary_key, auto_increment = false)]
    pub server_id: NodeId,
    /// The run: one process of the agent.
    #[sea_orm(primary_key, auto_increment = false)]
    pub instance: AgentInstance,
    /// When its first message arrived, by our clock.
    pub first_heard: DateTimeUtc,
    /// When its latest message arrived, by our clock.
    pub last_heard: DateTimeUtc,
    /// When it sent its latest message, converted to our clock with `offset_us`.
    pub last_sent: DateTimeUtc,
    /// When it sent the message before that one, converted in the same way.
    pub previous_sent: DateTimeUtc,
    /// Our clock minus the clock of the node, in microseconds, measured on the fastest message so far.
    pub offset_us: i64,
    /// Whether management refuses this run as a clone.
    pub refused: bool,
    /// Whether the run has been told that it is refused.
    pub told: bool,
}

impl ActiveModelBehavior for ActiveModel {}
