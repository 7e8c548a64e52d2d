//! Creates a pool.

use sea_orm::{ActiveModelTrait, ActiveValue::Set, DatabaseTransaction, DbErr};
use vpnmanager_entities::pool;
use vpnmanager_nats::ids::NodeId;

use crate::{
    app::App,
    domain::{
        actor::Actor,
        audit_action::AuditAction,
        client_directives::{ClientDirectives, WithoutDns, without_dns},
        pool::{SoundNetwork, Swallowed},
    },
    ops::{
        audit::{self, Entry, pool_snapshot},
        in_turn::transact_on_fleet,
        nodes::one_at_a_time::one_at_a_time,
        pools::{
            find_swallowed::{Nodes, find_swallowed},
            read::{self, PoolView},
        },
    },
};

/// A pool to create.
#[derive(Debug, Clone)]
pub struct NewPool {
    /// Its name.
    pub name: NodeId,
    /// What its users reach through the tunnel; `None`: the nodes leave their machines alone.
    pub network: Option<SoundNetwork>,
    /// Nodes for each user, 1 to 16; `None`: PLACEMENT_REPLICAS.
    pub replicas: Option<i16>,
    /// Extra directives of clients.
    pub client_directives: ClientDirectives,
}

/// Why a pool was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreatePoolError {
    /// There is a pool of that name.
    #[error("there is a pool of that name")]
    NameTaken,
    /// A route contains an address that must be reached around the tunnel.
    #[error(transparent)]
    Swallowed(Swallowed),
    /// Clients on Windows would find no names.
    #[error(transparent)]
    WithoutDns(WithoutDns),
    /// The database failed.
    #[error("recording the pool failed")]
    Database(#[from] DbErr),
}

/// Creates a pool without nodes.
pub async fn create_pool(app: &App, actor: &Actor, new: NewPool) -> Result<PoolView, CreatePoolError> {
    let new = &new;
    transact_on_fleet(app, |tx| async move { record(app, &tx, actor, new).await }).await
}

async fn record(
    app: &App,
    transaction: &DatabaseTransaction,
    actor: &Actor,
    new: &NewPool,
) -> Result<PoolView, CreatePoolError> {
    one_at_a_time(transaction).await?;
    let existing = pool::Entity::find_by_name(new.name.clone()).one(transaction).await?;
    if existing.is_some() {
        return Err(CreatePoolError::NameTaken);
    }
    let network = new.network.as_ref().map(SoundNetwork::network);
    if let Some(network) = network
        && let Some(swallowed) = find_swallowed(app, transaction, Nodes::Of(&new.name), &network.routes).await?
    {
        return Err(CreatePoolError::Swallowed(swallowed));
    }
    let client_directives = new.client_directives.texts();
    if let Some(left) = without_dns(&client_directives, network) {
        return Err(CreatePoolError::WithoutDns(left.into()));
    }
    let row = pool::ActiveModel {
        name: Set(new.name.clone()),
        network: Set(network.cloned()),
        replicas: Set(new.replicas),
        client_directives: Set(client_directives),
        ..Default::default()
    };
    let made = row.insert(transaction).await?;
    let entry = Entry::new(actor, AuditAction::PoolCreated, &app.config.server_id).after(pool_snapshot(&made));
    audit::record_one(transaction, entry).await?;
    Ok(read::view(transaction, made).await?)
}
