//! Finds out whether a network would lead a way that must go around the tunnel into it.

use sea_orm::{ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder};
use vpnmanager_entities::server;
use vpnmanager_nats::{ids::NodeId, network::Network};

use crate::{
    app::App,
    domain::pool::{Swallowed, Way, swallowed},
};

/// The first route of the network that contains the address of a node of this pool, or of the bus. Nothing is looked up: a name may lead
/// anywhere, and elsewhere tomorrow.
pub(super) async fn find_swallowed(
    app: &App,
    db: &impl ConnectionTrait,
    pool: &NodeId,
    network: &Network,
) -> Result<Option<Swallowed>, DbErr> {
    let in_pool = Condition::any()
        .add(server::Column::Pool.eq(pool.as_str()))
        .add(server::Column::LeavingFor.eq(pool.as_str()));
    let members = server::Entity::find()
        .filter(in_pool)
        .order_by_asc(server::Column::Name)
        .all(db)
        .await?;
    let to_nodes = members
        .iter()
        .filter_map(|server| Way::of_node(&server.name, &server.public_host));
    let place = app.bus_place();
    let to_bus = place.urls.iter().filter_map(|url| Way::of_bus(url));
    let ways: Vec<Way> = to_nodes.chain(to_bus).collect();
    Ok(swallowed(network, &ways))
}
