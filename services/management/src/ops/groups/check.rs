//! Whether a group can be as it is asked for.

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};
use vpnmanager_entities::pool;
use vpnmanager_nats::{groups::GroupRules, ids::NodeId, network::Prefix, own_rules::OwnRules};

use crate::{
    app::App,
    domain::{
        group::{Contradiction, contradictions},
        pool::Swallowed,
    },
    ops::pools::find_swallowed::{Nodes, find_swallowed},
};

/// Why a group cannot be so.
#[derive(Debug, thiserror::Error)]
pub enum CheckGroupError {
    /// The pool does not exist.
    #[error("there is no pool {0}")]
    UnknownPool(NodeId),
    /// The rules contradict themselves.
    #[error("the rules contradict themselves")]
    Contradictory(Vec<Contradiction>),
    /// A route contains an address that must be reached around the tunnel.
    #[error(transparent)]
    Swallowed(Swallowed),
    /// The database failed.
    #[error("looking at pools and nodes failed")]
    Database(#[from] DbErr),
}

/// Checks that the pool of new members exists.
pub(super) async fn check_pool(transaction: &DatabaseTransaction, name: &NodeId) -> Result<(), CheckGroupError> {
    let pool = pool::Entity::find_by_name(name.clone()).one(transaction).await?;
    pool.map(drop).ok_or_else(|| CheckGroupError::UnknownPool(name.clone()))
}

/// Checks that rules do not contradict themselves.
pub(super) fn check_rules(rules: &GroupRules) -> Result<(), CheckGroupError> {
    let found = contradictions(rules);
    match found.is_empty() {
        true => Ok(()),
        false => Err(CheckGroupError::Contradictory(found)),
    }
}

/// Checks that no route leads a way into the tunnel which must go around it. Members may be in any pool.
pub(super) async fn check_routes(
    app: &App,
    db: &impl ConnectionTrait,
    routes: &[Prefix],
) -> Result<(), CheckGroupError> {
    if routes.is_empty() {
        return Ok(());
    }
    match find_swallowed(app, db, Nodes::All, routes).await? {
        Some(swallowed) => Err(CheckGroupError::Swallowed(swallowed)),
        None => Ok(()),
    }
}

/// Checks own rules of a user, as a request says them, in the same way.
pub(in crate::ops) async fn check_own_rules(
    app: &App,
    db: &impl ConnectionTrait,
    said: &OwnRules,
) -> Result<(), CheckGroupError> {
    let said = said.clone().over(GroupRules::default());
    check_rules(&said)?;
    check_routes(app, db, &said.routes).await
}
