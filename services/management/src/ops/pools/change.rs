//! Changes the network of a pool, how many nodes its users get, and what their profiles say besides.

use chrono::{SubsecRound, Utc};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, DatabaseTransaction, DbErr, IntoActiveModel};
use vpnmanager_entities::pool;
use vpnmanager_nats::ids::NodeId;

use crate::{
    app::App,
    domain::{
        actor::Actor,
        audit_action::AuditAction,
        client_directives::{ClientDirectives, DnsLack, WithoutDns, without_dns},
        pool::{SoundNetwork, Swallowed},
    },
    ops::{
        audit::{self, Entry, pool_snapshot},
        in_turn::transact_on_fleet,
        nodes::{one_at_a_time::one_at_a_time, request_handshakes::request_pool},
        pools::{
            find_swallowed::{Nodes, find_swallowed},
            read::{self, PoolView},
        },
    },
};

/// What to change; a field that is `None` keeps its value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PoolChange {
    /// What users reach through the tunnel; `Some(None)`: nothing, and the nodes let nothing through their tunnels.
    pub network: Option<Option<SoundNetwork>>,
    /// Nodes for each user, 1 to 16; `Some(None)`: PLACEMENT_REPLICAS.
    pub replicas: Option<Option<i16>>,
    /// Extra directives of clients, as a whole.
    pub client_directives: Option<ClientDirectives>,
}

/// Why a pool was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangePoolError {
    /// There is no such pool.
    #[error("there is no such pool")]
    UnknownPool,
    /// A route contains an address that must be reached around the tunnel.
    #[error(transparent)]
    Swallowed(Swallowed),
    /// Clients on Windows would find no names.
    #[error(transparent)]
    WithoutDns(WithoutDns),
    /// The database failed.
    #[error("recording the change failed")]
    Database(#[from] DbErr),
}

/// Changes a pool, and has its nodes asked for a handshake, whose answer brings them the change. Nodes know nothing of the directives of
/// clients: a change of nothing else asks no node and leaves the revision, which is the nodes', as it is. If all values are the same already,
/// neither the revision nor the audit trail changes. Users get more nodes as there are some; nobody is taken off a node.
pub async fn change_pool(
    app: &App,
    actor: &Actor,
    name: &NodeId,
    change: PoolChange,
) -> Result<PoolView, ChangePoolError> {
    let change = &change;
    let view = transact_on_fleet(app, |tx| async move { record(app, &tx, actor, name, change).await }).await?;
    app.placer.wake();
    Ok(view)
}

async fn record(
    app: &App,
    transaction: &DatabaseTransaction,
    actor: &Actor,
    name: &NodeId,
    change: &PoolChange,
) -> Result<PoolView, ChangePoolError> {
    one_at_a_time(transaction).await?;
    let before = pool::Entity::find_by_name(name.clone()).one(transaction).await?;
    let before = before.ok_or(ChangePoolError::UnknownPool)?;
    let after = changed(&before, change);
    if after == before {
        return Ok(read::view(transaction, before).await?);
    }
    if after.network != before.network
        && let Some(network) = &after.network
        && let Some(swallowed) = find_swallowed(app, transaction, Nodes::Of(name), &network.routes).await?
    {
        return Err(ChangePoolError::Swallowed(swallowed));
    }
    if let Some(without) = takes_dns_away(&before, &after, change) {
        return Err(ChangePoolError::WithoutDns(without));
    }
    let mut row = before.clone().into_active_model();
    if after.network != before.network || after.replicas != before.replicas {
        // Nodes before the pool, as everywhere.
        request_pool(transaction, name).await?;
        row.revision = Set(before.revision + 1);
    }
    row.network = Set(after.network);
    row.replicas = Set(after.replicas);
    row.client_directives = Set(after.client_directives);
    row.changed_at = Set(Utc::now().trunc_subsecs(6));
    let after = row.update(transaction).await?;
    let entry = Entry::new(actor, AuditAction::PoolChanged, &app.config.server_id)
        .before(pool_snapshot(&before))
        .after(pool_snapshot(&after));
    audit::record_one(transaction, entry).await?;
    Ok(read::view(transaction, after).await?)
}

/// The pool with the values that are asked for.
fn changed(before: &pool::Model, change: &PoolChange) -> pool::Model {
    let network = match &change.network {
        Some(network) => network.as_ref().map(|network| network.network().clone()),
        None => before.network.clone(),
    };
    let client_directives = match &change.client_directives {
        Some(directives) => directives.texts(),
        None => before.client_directives.clone(),
    };
    pool::Model {
        network,
        replicas: change.replicas.unwrap_or(before.replicas),
        client_directives,
        ..before.clone()
    }
}

/// Whether this change leaves clients on Windows without DNS. A pool that is so already keeps what is not changed.
fn takes_dns_away(before: &pool::Model, after: &pool::Model, change: &PoolChange) -> Option<WithoutDns> {
    if after.network == before.network && after.client_directives == before.client_directives {
        return None;
    }
    let left = without_dns(&after.client_directives, after.network.as_ref())?;
    if change.client_directives.is_some() {
        return Some(left.into());
    }
    Some(match (left.lack, &after.network) {
        (DnsLack::Servers, Some(_)) => WithoutDns::NoServers,
        (DnsLack::Servers, None) => WithoutDns::NoNetwork,
        (DnsLack::Ways, _) => WithoutDns::NoWays,
    })
}
