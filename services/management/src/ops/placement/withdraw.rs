//! Takes users off a node that stays in the fleet.

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, FromQueryResult, Statement};
use vpnmanager_entities::server;
use vpnmanager_nats::ids::{NodeId, UserKey};

use crate::{
    domain::placement::{Heirs, is_open, rank},
    ops::{
        busy::Busy,
        placement::{choose_homes::choose_homes, hand_over::hand_over, read_fleet::read_fleet},
        publications::make_due::{Urgency, want_newest},
    },
};

/// Homes and placements that are looked at in one transaction.
const BATCH: i64 = 500;

/// How many users are on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromQueryResult)]
pub struct OnNode {
    /// Users that the node holds, or whose home it is.
    pub users: i64,
    /// Those of them whose home it is.
    pub homed: i64,
}

/// Counts the living users that the node holds, or whose home it is.
pub async fn count_on(db: &impl ConnectionTrait, node: &NodeId) -> Result<OnNode, DbErr> {
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        "SELECT count(*) AS users, count(*) FILTER (WHERE u.server_id = $1) AS homed FROM users u
         WHERE u.removed_at IS NULL
           AND (u.server_id = $1 OR u.id IN (SELECT user_id FROM placements WHERE server_id = $1 AND wanted_present))",
        [node.clone().into()],
    );
    let counted = OnNode::find_by_statement(statement).one(db).await?;
    Ok(counted.unwrap_or(OnNode { users: 0, homed: 0 }))
}

/// The other nodes of its pool that could take the users of this one.
pub async fn successors(db: &impl ConnectionTrait, leaving: &server::Model) -> Result<Vec<NodeId>, DbErr> {
    let fleet = read_fleet(db).await?;
    let others = fleet.servers().iter();
    let others = others.filter(|other| other.pool == leaving.pool && other.name != leaving.name);
    let names = |fits: &dyn Fn(&server::Model) -> bool| -> Vec<NodeId> {
        let fitting = others.clone().filter(|other| fits(other));
        fitting.map(|other| other.name.clone()).collect()
    };
    let candidates = names(&|other| fleet.is_candidate(other));
    Ok(if candidates.is_empty() {
        names(&is_open)
    } else {
        candidates
    })
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

/// Makes the node remove some of its users, at most a thousand; gives how many. Those whose home it is get another home in its pool, first a standby that
/// they have. The rows of the placements are deleted when the node has acked ([`end_withdrawals`]). `None`, and nothing is changed: it has
/// users, and no other node of its pool is open.
pub async fn withdraw_some(
    transaction: &DatabaseTransaction,
    leaving: &server::Model,
    busy: Busy,
) -> Result<Option<usize>, DbErr> {
    let (backend, node) = (transaction.get_database_backend(), &leaving.name);
    // Every change locks users before placements, and in the order of their ids, so there is no deadlock.
    let placed = Placed::find_by_statement(Statement::from_sql_and_values(
        backend,
        format!(
            "SELECT u.id, u.key, u.server_id = $1 AS homed, u.server_id = $1 AND NOT EXISTS (
                    SELECT FROM placements o WHERE o.user_id = u.id AND o.wanted_present AND o.server_id <> $1) AS alone
             FROM users u WHERE u.removed_at IS NULL AND u.id IN (
                 (SELECT id FROM users WHERE server_id = $1 AND removed_at IS NULL ORDER BY id LIMIT $2)
                 UNION
                 (SELECT p.user_id FROM placements p JOIN users held ON held.id = p.user_id
                  WHERE p.server_id = $1 AND p.wanted_present AND held.removed_at IS NULL LIMIT $2))
             ORDER BY u.id FOR NO KEY UPDATE OF u {}",
            busy.sql()
        ),
        [node.clone().into(), BATCH.into()],
    ))
    .all(transaction)
    .await?;
    if placed.is_empty() {
        return Ok(Some(0));
    }
    let open = successors(transaction, leaving).await?;
    if open.is_empty() {
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
    hand_over(transaction, &moves, Urgency::Ordinary).await?;
    want_newest(transaction, &ids, Urgency::Ordinary).await?;
    Ok(Some(ids.len()))
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
