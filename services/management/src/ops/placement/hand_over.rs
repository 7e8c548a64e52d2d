//! Gives users another home: one of their standbys, which issues a new profile for each.

use std::collections::{BTreeMap, HashMap};

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, FromQueryResult, Statement};
use vpnmanager_entities::server;
use vpnmanager_nats::{
    ids::{NodeId, UserKey},
    username::Username,
};

use crate::{
    domain::placement::{Heirs, new_home},
    ops::{
        credentials::give::{NewCredential, give_credentials},
        publications::make_due::want_newest,
    },
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
    let servers = server::Entity::find().all(transaction).await?;
    let servers: HashMap<&NodeId, &server::Model> = servers.iter().map(|server| (&server.name, server)).collect();
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
        let to = new_home(user.key, &nodes, heirs)?;
        Some(Move {
            user_id: user.user_id,
            username: user.username.clone(),
            from: user.home.clone(),
            to,
        })
    });
    Ok(moves.collect())
}

/// Makes the moves; the caller must have locked the users. If the old home still holds a user, it becomes a standby. Old profiles stay
/// valid. Their private keys are only on the old home, so each new home makes a new key and profile.
pub async fn hand_over(transaction: &DatabaseTransaction, moves: &[Move]) -> Result<(), DbErr> {
    if moves.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = moves.iter().map(|change| change.user_id).collect();
    let homes: Vec<String> = moves.iter().map(|change| change.to.to_string()).collect();
    let run = |sql: &'static str| {
        let values = [ids.clone().into(), homes.clone().into()];
        Statement::from_sql_and_values(transaction.get_database_backend(), sql, values)
    };
    let users = "WITH moves AS MATERIALIZED (SELECT * FROM UNNEST($1::bigint[], $2::text[]) AS m (user_id, home))
         UPDATE users u SET server_id = m.home, checksum = NULL, ovpn_path = NULL, port = s.public_port,
             protocol = s.public_protocol, revision = u.revision + 1, synced = false
         FROM moves m JOIN servers s ON s.name = m.home WHERE u.id = m.user_id";
    transaction.execute_raw(run(users)).await?;
    let roles = "WITH moves AS MATERIALIZED (SELECT * FROM UNNEST($1::bigint[], $2::text[]) AS m (user_id, home))
         UPDATE placements p SET role = CASE WHEN p.server_id = m.home THEN 'home' ELSE 'standby' END
         FROM moves m WHERE p.user_id = m.user_id";
    transaction.execute_raw(run(roles)).await?;
    want_newest(transaction, &ids).await?;
    let credentials: Vec<NewCredential> = moves
        .iter()
        .map(|change| NewCredential::new(change.user_id, &change.username, &change.to))
        .collect();
    give_credentials(transaction, &credentials).await
}

/// Counts how many users each node gets.
pub fn tally(moves: &[Move]) -> BTreeMap<&str, usize> {
    let mut tally = BTreeMap::new();
    for change in moves {
        *tally.entry(change.to.as_str()).or_default() += 1;
    }
    tally
}
