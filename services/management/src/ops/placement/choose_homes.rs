//! Chooses new homes for users whose home is gone.

use std::collections::{BTreeMap, HashMap};

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, FromQueryResult, Statement};
use vpnmanager_entities::server;
use vpnmanager_nats::{
    ids::{NodeId, UserKey},
    username::Username,
};

use crate::{
    domain::placement::{Heirs, new_home},
    ops::placement::read_fleet::read_fleet,
};

/// A user and its new home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The id of the user's row.
    pub user_id: i64,
    /// The user's name.
    pub username: Username,
    /// Its old home.
    pub from: NodeId,
    /// Its new home.
    pub to: NodeId,
}

#[derive(Debug, FromQueryResult)]
struct Standby {
    user_id: i64,
    key: UserKey,
    username: Username,
    home: NodeId,
    node: NodeId,
}

/// Chooses the new home of each user among its standbys. A user without a suitable standby gets no move.
pub async fn choose_homes(transaction: &DatabaseTransaction, users: &[i64], heirs: Heirs) -> Result<Vec<Move>, DbErr> {
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "SELECT u.id AS user_id, u.key, u.username, u.server_id AS home, p.server_id AS node
         FROM users u JOIN placements p ON p.user_id = u.id
         WHERE u.id = ANY($1) AND p.wanted_present AND p.server_id <> u.server_id",
        [users.to_vec().into()],
    );
    let standbys = Standby::find_by_statement(statement).all(transaction).await?;
    let fleet = read_fleet(transaction).await?;
    let servers = fleet.servers().iter().map(|server| (&server.name, server));
    let servers: HashMap<&NodeId, &server::Model> = servers.collect();
    let mut by_user: BTreeMap<i64, Vec<Standby>> = BTreeMap::new();
    for standby in standbys {
        by_user.entry(standby.user_id).or_default().push(standby);
    }
    let moves = by_user.into_values().filter_map(|standbys| {
        let nodes: Vec<&server::Model> = standbys
            .iter()
            .filter_map(|standby| servers.get(&standby.node).copied())
            .collect();
        let user = standbys.first()?;
        let to = new_home(user.key, &nodes, &fleet, heirs)?;
        Some(Move {
            user_id: user.user_id,
            username: user.username.clone(),
            from: user.home.clone(),
            to,
        })
    });
    Ok(moves.collect())
}
