//! Gives users another home: one of their standbys, which issues new profiles.

use std::collections::{BTreeMap, HashMap};

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, Statement};

use crate::ops::{
    credentials::{
        devices::devices_of,
        give::{NewCredential, give_credentials},
    },
    placement::choose_homes::Move,
    publications::make_due::{Urgency, want_newest},
};

/// Makes the moves; the caller must have locked the users. If the old home still holds a user, it becomes a standby. Old profiles stay
/// valid. Their private keys are only on the old home, so each new home makes a new key and profile for each device of the user.
pub async fn hand_over(transaction: &DatabaseTransaction, moves: &[Move], urgency: Urgency) -> Result<(), DbErr> {
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
             protocol = s.public_protocol, former_pool = NULL, revision = u.revision + 1, synced = false
         FROM moves m JOIN servers s ON s.name = m.home WHERE u.id = m.user_id";
    transaction.execute_raw(run(users)).await?;
    want_newest(transaction, &ids, urgency).await?;
    let moves: HashMap<i64, &Move> = moves.iter().map(|change| (change.user_id, change)).collect();
    let devices = devices_of(transaction, &ids).await?;
    let credentials: Vec<NewCredential> = devices
        .iter()
        .filter_map(|held| {
            let change = moves.get(&held.user_id)?;
            Some(NewCredential::new(
                change.user_id,
                &change.username,
                &held.device,
                &change.to,
            ))
        })
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
