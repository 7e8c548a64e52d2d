//! Takes users off a node that stays in the fleet.

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, FromQueryResult, Statement};
use vpnmanager_entities::server;
use vpnmanager_nats::ids::{NodeId, UserKey};

use crate::{
    domain::placement::{Heirs, is_open, rank},
    ops::{
        placement::{choose_homes::choose_homes, hand_over::hand_over, read_fleet::read_fleet},
        publications::make_due::{Urgency, want_newest},
    },
};

/// Users whose home was the node, and that got another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Withdrawn {
    /// Users that the node will remove.
    pub users: usize,
    /// Those of them whose home it was.
    pub homed: usize,
}

#[derive(FromQueryResult)]
struct Placed {
    id: i64,
    key: UserKey,
    /// The node is its home, and no other node holds it.
    alone: bool,
    /// The node is its home.
    homed: bool,
}

/// Makes the node remove all its users. Those whose home it is get another home in its pool, first a standby that they have. The rows of
/// the placements are deleted when the node has acked ([`end_withdrawals`]). `None`, and nothing is changed: it has users, and no other
/// node of its pool is open.
pub async fn withdraw_all(
    transaction: &DatabaseTransaction,
    leaving: &server::Model,
) -> Result<Option<Withdrawn>, DbErr> {
    let (backend, node) = (transaction.get_database_backend(), &leaving.name);
    // Every change locks users before placements, and in the order of their ids, so there is no deadlock.
    let placed = Placed::find_by_statement(Statement::from_sql_and_values(
        backend,
        "SELECT u.id, u.key, u.server_id = $1 AS homed, u.server_id = $1 AND NOT EXISTS (
                SELECT FROM placements o WHERE o.user_id = u.id AND o.wanted_present AND o.server_id <> $1) AS alone
         FROM users u
         WHERE u.removed_at IS NULL
           AND (u.server_id = $1 OR u.id IN (SELECT user_id FROM placements WHERE server_id = $1 AND wanted_present))
         ORDER BY u.id FOR NO KEY UPDATE OF u",
        [node.clone().into()],
    ))
    .all(transaction)
    .await?;
    let fleet = read_fleet(transaction).await?;
    let others = fleet.servers().iter();
    let others = others.filter(|other| other.pool == leaving.pool && other.name != leaving.name);
    let names = |fits: &dyn Fn(&server::Model) -> bool| -> Vec<NodeId> {
        let fitting = others.clone().filter(|other| fits(other));
        fitting.map(|other| other.name.clone()).collect()
    };
    let mut open = names(&|other| fleet.is_candidate(other));
    if open.is_empty() {
        open = names(&is_open);
    }
    if open.is_empty() && !placed.is_empty() {
        return Ok(None);
    }
    let (mut alone, mut stand_ins): (Vec<i64>, Vec<String>) = (Vec::new(), Vec::new());
    for user in placed.iter().filter(|user| user.alone) {
        if let Some((stand_in, _)) = rank(user.key, None, &open, 1).into_iter().next() {
            alone.push(user.id);
            stand_ins.push(stand_in.to_string());
        }
    }
    let ids: Vec<i64> = placed.iter().map(|user| user.id).collect();
    let steps = [
        Statement::from_sql_and_values(
            backend,
            "UPDATE users SET revision = revision + 1, synced = false WHERE id = ANY($1)",
            [ids.clone().into()],
        ),
        Statement::from_sql_and_values(
            backend,
            "INSERT INTO placements (user_id, server_id, role, wanted_revision)
             SELECT s.user_id, s.node, 'standby', u.revision
             FROM UNNEST($1::bigint[], $2::text[]) AS s (user_id, node) JOIN users u ON u.id = s.user_id
             ON CONFLICT (user_id, server_id) DO UPDATE SET wanted_present = true",
            [alone.into(), stand_ins.into()],
        ),
        Statement::from_sql_and_values(
            backend,
            "WITH locked AS MATERIALIZED (
                SELECT id FROM placements WHERE server_id = $1 AND user_id = ANY($2) ORDER BY id FOR NO KEY UPDATE)
             UPDATE placements p SET wanted_present = false FROM locked WHERE p.id = locked.id",
            [node.clone().into(), ids.clone().into()],
        ),
    ];
    for step in steps {
        transaction.execute_raw(step).await?;
    }
    let homed: Vec<i64> = placed.iter().filter(|user| user.homed).map(|user| user.id).collect();
    let moves = choose_homes(transaction, &homed, Heirs::Any).await?;
    hand_over(transaction, &moves).await?;
    want_newest(transaction, &ids, Urgency::Ordinary).await?;
    Ok(Some(Withdrawn {
        users: ids.len(),
        homed: moves.len(),
    }))
}

/// Deletes the placements of living users that their nodes have removed.
pub async fn end_withdrawals(transaction: &DatabaseTransaction, users: &[i64]) -> Result<(), DbErr> {
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "DELETE FROM placements p USING users u
         WHERE u.id = p.user_id AND u.id = ANY($1) AND u.removed_at IS NULL
           AND NOT p.wanted_present AND p.applied_revision >= p.wanted_revision",
        [users.to_vec().into()],
    );
    transaction.execute_raw(statement).await.map(drop)
}
