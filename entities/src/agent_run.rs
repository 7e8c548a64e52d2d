//! `agent_runs`: the runs of agents that were heard of lately. Two at once with one identity are a node and its clone.

use sea_orm::entity::prelude::*;

/// One run of one node's agent.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "agent_runs")]
pub struct Model {
    /// The node.
    #[sea_orm(primary_key, auto_increment = false)]
    pub server_id: String,
    /// The run.
    #[sea_orm(primary_key, auto_increment = false)]
    pub instance: Uuid,
    /// When it was first heard, by our clock.
    pub first_heard: DateTimeUtc,
    /// When it was last heard, by our clock.
    pub last_heard: DateTimeUtc,
    /// When it sent its last message, by our clock as far as that can be told.
    pub last_sent: DateTimeUtc,
    /// When it sent the one before.
    pub previous_sent: DateTimeUtc,
    /// Our clock minus its own, in microseconds; the shortest way seen.
    pub offset_us: i64,
    /// Whether it is taken for a clone.
    pub refused: bool,
    /// Whether it was told so.
    pub told: bool,
}

impl ActiveModelBehavior for ActiveModel {}
