//! `POST /api/endnodes/{server_id}/drain`, `undrain`, `disable`, `enable`, `move`.

use poem_openapi::Object;
use poem_openapi::types::Example;
use vpnmanager_nats::ids::NodeId;
use vpnmanager_openapi::contract::scalars::PoolText;
use vpnmanager_openapi::problem::ApiError;

use super::view::Endnode;
use crate::api::failure;
use crate::app::App;
use crate::domain::actor::Actor;
use crate::ops::nodes::change::{NodeChange, change_node};
use crate::ops::nodes::move_node::move_node;

/// Where an end-node is moved.
#[derive(Debug, Object)]
#[oai(example)]
pub(crate) struct EndnodeMove {
    /// The pool that it will be in.
    pool: PoolText,
}

pub(super) async fn change(app: &App, actor: &Actor, node: &NodeId, change: NodeChange) -> Result<Endnode, ApiError> {
    change_node(app, actor, node, change)
        .await
        .map(Endnode::of)
        .map_err(|error| failure::nodes::of_change_node(app, error))
}

pub(super) async fn move_to(app: &App, actor: &Actor, node: &NodeId, to: EndnodeMove) -> Result<Endnode, ApiError> {
    move_node(app, actor, node, &to.pool.0)
        .await
        .map(Endnode::of)
        .map_err(|error| failure::nodes::of_move_node(app, error))
}

impl Example for EndnodeMove {
    fn example() -> Self {
        Self {
            pool: PoolText("sales".parse().expect("a valid pool")),
        }
    }
}
