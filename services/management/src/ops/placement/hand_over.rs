//! Giving users another home: one of their standbys, which makes a new profile for each.

use std::collections::{BTreeMap, HashMap};

use sea_orm::{ActiveValue::Set, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, FromQueryResult, Statement};
use tracing::warn;
use uuid::Uuid;
use vpnmanager_entities::credential;
use vpnmanager_nats::{
    ids::{CommonName, NodeId, UserKey},
    username::Username,
};

use crate::domain::placement::place;

/// Credentials in one INSERT: far below the 65,535 values that PostgreSQL takes.
const CHUNK: usize = 5_000;

/// A user with the home that it gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The user's row.
    pub user_id: i64,
    /// The user's name.
    pub username: String,
    /// The home that it loses.
    pub from: String,
    /// Its new home.
    pub to: String,
}

/// Who may become a home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heirs {
    /// Only a node that is enabled, healthy and in sync; a user without such a standby stays where it is.
    Fit,
    /// Another one too, when there is no fit one.
    Any,
}

/// What SQL calls a node `s` that may become a home.
pub const FIT: &str = "s.enabled AND NOT s.draining AND s.state = 'healthy' AND s.lost_since IS NULL
         AND s.resync_since IS NULL AND s.last_sync IS NOT NULL";

#[derive(Debug, FromQueryResult)]
struct Standby {
    user_id: i64,
    key: Uuid,
    username: String,
    home: String,
    node: String,
    fit: bool,
}

/// Draws the new home of each of these users among its standbys, so that the load of one node is spread over all of them.
///
/// # Errors
/// When the database does not answer.
pub async fn choose(transaction: &DatabaseTransaction, users: &[i64], heirs: Heirs) -> Result<Vec<Move>, DbErr> {
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        format!(
            "SELECT u.id AS user_id, u.key, u.username, u.server_id AS home, p.server_id AS node, ({FIT}) AS fit
             FROM users u JOIN placements p ON p.user_id = u.id JOIN servers s ON s.name = p.server_id
             WHERE u.id = ANY($1) AND p.wanted_present AND p.server_id <> u.server_id"
        ),
        [users.to_vec().into()],
    );
    let standbys = Standby::find_by_statement(statement).all(transaction).await?;
    let mut by_user: BTreeMap<i64, Vec<Standby>> = BTreeMap::new();
    for standby in standbys {
        by_user.entry(standby.user_id).or_default().push(standby);
    }
    Ok(by_user
        .into_values()
        .filter_map(|standbys| draw(&standbys, heirs))
        .collect())
}

fn draw(standbys: &[Standby], heirs: Heirs) -> Option<Move> {
    let user = standbys.first()?;
    let nodes = |only_fit: bool| -> Vec<NodeId> {
        let candidates = standbys.iter().filter(|standby| standby.fit || !only_fit);
        candidates.filter_map(|standby| standby.node.parse().ok()).collect()
    };
    let fit = nodes(true);
    let candidates = match heirs {
        Heirs::Any if fit.is_empty() => nodes(false),
        Heirs::Any | Heirs::Fit => fit,
    };
    let (to, _) = place(UserKey(user.key), None, &candidates, 1).into_iter().next()?;
    Some(Move {
        user_id: user.user_id,
        username: user.username.clone(),
        from: user.home.clone(),
        to: to.to_string(),
    })
}

/// Makes the moves. The users must be locked. The old home, if it is still placed, becomes a standby; the old profiles stay valid;
/// the key of a profile lies only on the old home, so the new one makes another.
///
/// # Errors
/// When the database does not take it.
pub async fn hand_over(transaction: &DatabaseTransaction, moves: &[Move]) -> Result<(), DbErr> {
    if moves.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = moves.iter().map(|change| change.user_id).collect();
    let homes: Vec<String> = moves.iter().map(|change| change.to.clone()).collect();
    let run = |sql: &'static str| {
        let values = [ids.clone().into(), homes.clone().into()];
        Statement::from_sql_and_values(transaction.get_database_backend(), sql, values)
    };
    let users = "WITH moves AS MATERIALIZED (SELECT * FROM UNNEST($1::bigint[], $2::text[]) AS m (user_id, home))
         UPDATE users u SET server_id = m.home, checksum = NULL, ovpn_path = NULL, port = s.public_port,
             protocol = s.public_protocol, revision = u.revision + 1, synced = false
         FROM moves m JOIN servers s ON s.name = m.home WHERE u.id = m.user_id";
    transaction.execute_raw(run(users)).await?;
    let placements = "WITH moves AS MATERIALIZED (SELECT * FROM UNNEST($1::bigint[], $2::text[]) AS m (user_id, home))
         UPDATE placements p SET role = CASE WHEN p.server_id = m.home THEN 'home' ELSE 'standby' END,
             wanted_revision = u.revision, lease_until = 'epoch', attempts = 0
         FROM moves m JOIN users u ON u.id = m.user_id WHERE p.user_id = m.user_id";
    transaction.execute_raw(run(placements)).await?;
    issue_anew(transaction, moves).await
}

async fn issue_anew(transaction: &DatabaseTransaction, moves: &[Move]) -> Result<(), DbErr> {
    let mut rows = Vec::with_capacity(moves.len());
    for change in moves {
        match change.username.parse::<Username>() {
            Ok(username) => rows.push(credential::ActiveModel {
                user_id: Set(Some(change.user_id)),
                common_name: Set(CommonName::for_user(&username).to_string()),
                server_id: Set(change.to.clone()),
                ..Default::default()
            }),
            Err(error) => {
                warn!(user.id = change.user_id, error = %error, "A username in the database is not valid");
            }
        }
    }
    for chunk in rows.chunks(CHUNK) {
        credential::Entity::insert_many(chunk.to_vec())
            .exec_without_returning(transaction)
            .await?;
    }
    Ok(())
}

/// How many users each node gets.
pub fn tally(moves: &[Move]) -> HashMap<&str, usize> {
    let mut tally = HashMap::new();
    for change in moves {
        *tally.entry(change.to.as_str()).or_default() += 1;
    }
    tally
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standby(node: &str, fit: bool) -> Standby {
        Standby {
            user_id: 1,
            key: UserKey::new().0,
            username: "alice".to_owned(),
            home: "gone".to_owned(),
            node: node.to_owned(),
            fit,
        }
    }

    #[test]
    fn only_a_fit_standby_inherits_unless_any_will_do() {
        let to = |standbys: &[Standby], heirs| draw(standbys, heirs).map(|change| change.to);
        let mixed = [standby("ill", false), standby("well", true)];
        assert_eq!(to(&mixed, Heirs::Fit).as_deref(), Some("well"));
        assert_eq!(to(&mixed, Heirs::Any).as_deref(), Some("well"));
        assert_eq!(to(&mixed[..1], Heirs::Fit), None);
        assert_eq!(to(&mixed[..1], Heirs::Any).as_deref(), Some("ill"));
        assert_eq!(to(&[], Heirs::Any), None);
    }

    #[test]
    fn the_users_of_one_node_are_spread_over_the_others() {
        let moves: Vec<Move> = (0..300)
            .filter_map(|_| draw(&["n2", "n3", "n4"].map(|node| standby(node, true)), Heirs::Fit))
            .collect();
        let tally = tally(&moves);
        assert_eq!(tally.len(), 3);
        assert!(tally.values().all(|count| (60..140).contains(count)), "{tally:?}");
    }
}
