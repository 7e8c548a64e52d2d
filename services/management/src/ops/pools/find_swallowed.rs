//! Finds out whether routes would lead a way that must go around the tunnel into it.

use sea_orm::{ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder};
use vpnmanager_entities::server;
use vpnmanager_nats::{ids::NodeId, network::Prefix};

use crate::{
    app::App,
    domain::pool::{Swallowed, Way, swallowed},
};

/// The nodes that must be reached around the tunnel.
#[derive(Debug, Clone, Copy)]
pub(in crate::ops) enum Nodes<'a> {
    /// Those of this pool.
    Of(&'a NodeId),
    /// All of the fleet.
    All,
}

/// The first of these routes that contains the address of such a node, or of the bus. Nothing is looked up: a name may lead anywhere, and
/// elsewhere tomorrow.
pub(in crate::ops) async fn find_swallowed(
    app: &App,
    db: &impl ConnectionTrait,
    nodes: Nodes<'_>,
    routes: &[Prefix],
) -> Result<Option<Swallowed>, DbErr> {
    let which = match nodes {
        Nodes::Of(pool) => Condition::any()
            .add(server::Column::Pool.eq(pool.as_str()))
            .add(server::Column::LeavingFor.eq(pool.as_str())),
        Nodes::All => Condition::all(),
    };
    let members = server::Entity::find()
        .filter(which)
        .order_by_asc(server::Column::Name)
        .all(db)
        .await?;
    let to_nodes = members
        .iter()
        .filter_map(|server| Way::of_node(&server.name, &server.public_host));
    let place = app.bus_place();
    let to_bus = place.urls.iter().filter_map(|url| Way::of_bus(url));
    let ways: Vec<Way> = to_nodes.chain(to_bus).collect();
    Ok(swallowed(routes, &ways))
}
