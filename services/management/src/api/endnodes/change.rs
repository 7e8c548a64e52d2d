//! `POST /api/endnodes/{server_id}/drain`, `undrain`, `disable`, `enable`.

use vpnmanager_nats::ids::NodeId;
use vpnmanager_openapi::problem::ApiError;

use super::view::Endnode;
use crate::api::failure;
use crate::app::App;
use crate::domain::actor::Actor;
use crate::ops::nodes::change::{NodeChange, change_node};

pub(super) async fn change(app: &App, actor: &Actor, node: &NodeId, change: NodeChange) -> Result<Endnode, ApiError> {
    change_node(app, actor, node, change)
        .await
        .map(Endnode::of)
        .map_err(|error| failure::of_change_node(app, error))
}
