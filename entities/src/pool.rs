//! `pools`: groups of nodes, what their users reach through the tunnel, and what their clients are told besides.

use sea_orm::entity::prelude::*;
use vpnmanager_nats::{ids::NodeId, network::Network};

/// One pool.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "pools")]
pub struct Model {
    /// Row id.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// Its name, which has the form of a node's id: `POOL` in the configuration of agents.
    #[sea_orm(unique)]
    pub name: NodeId,
    /// Counts the changes of `network` and `replicas`. Nodes say with it which network they have.
    pub revision: i64,
    /// What users reach through the tunnel; `None`: the nodes leave routes, NAT and firewall of their machines alone.
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub network: Option<Network>,
    /// Nodes for each user, the home included, 1 to 16; `None`: PLACEMENT_REPLICAS.
    pub replicas: Option<i16>,
    /// Extra directives of the clients of its users, at most 16, as texts: whoever puts them into a profile reads them as directives first.
    pub client_directives: Vec<String>,
    /// When it was made.
    pub created_at: DateTimeUtc,
    /// When it was changed last.
    pub changed_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
