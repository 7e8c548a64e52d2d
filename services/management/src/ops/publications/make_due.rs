//! Makes placements due: the publisher takes them next, regardless of earlier tries.

use sea_orm::{ConnectionTrait, DbErr, Statement};
use vpnmanager_nats::ids::{NodeId, UserKey};

/// Whether commands may wait behind others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// They take their turn.
    Ordinary,
    /// They end access: they are published before the ordinary ones, and sent to the nodes directly too.
    EndsAccess,
}

/// Brings the placements of these users in line with the users, and makes them due: the newest revision, the home's role, and absence
/// when the user is removed.
///
/// One statement, because PostgreSQL checks the foreign key of a row that is updated twice in one transaction, and would then wait for
/// the row of a node that is being deregistered, which waits for the user.
pub async fn want_newest(db: &impl ConnectionTrait, users: &[i64], urgency: Urgency) -> Result<(), DbErr> {
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        // Locked in the order of their ids, as the recording of publications does it: no deadlock.
        "WITH locked AS MATERIALIZED (SELECT id FROM placements WHERE user_id = ANY($1) ORDER BY id FOR NO KEY UPDATE)
         UPDATE placements p SET wanted_revision = u.revision, lease_until = 'epoch', attempts = 0,
             wanted_present = p.wanted_present AND u.removed_at IS NULL,
             role = CASE WHEN p.server_id = u.server_id THEN 'home' ELSE 'standby' END,
             urgent_since = CASE WHEN $2 THEN now() ELSE p.urgent_since END,
             asked_at = CASE WHEN $2 THEN NULL ELSE p.asked_at END
         FROM users u, locked WHERE p.id = locked.id AND u.id = p.user_id",
        [users.to_vec().into(), (urgency == Urgency::EndsAccess).into()],
    );
    db.execute_raw(statement).await.map(drop)
}

/// The commands that the stream may have lost.
#[derive(Debug, Clone, Copy)]
pub enum Lost<'a> {
    /// All commands: the store was replaced.
    Store,
    /// The commands of these users for one node.
    Users(&'a NodeId, &'a [UserKey]),
}

/// Marks the placements as unpublished whose commands the stream may have lost. The publisher takes them next.
pub async fn publish_again(db: &impl ConnectionTrait, lost: Lost<'_>) -> Result<(), DbErr> {
    let backend = db.get_database_backend();
    let statement = match lost {
        Lost::Store => Statement::from_string(
            backend,
            "UPDATE placements SET published_revision = 0, published_sequence = 0, lease_until = 'epoch', attempts = 0",
        ),
        Lost::Users(node, users) => {
            let keys: Vec<uuid::Uuid> = users.iter().map(|user| user.0).collect();
            Statement::from_sql_and_values(
                backend,
                "UPDATE placements p SET published_revision = 0, published_sequence = 0, lease_until = 'epoch', attempts = 0
                 FROM users u WHERE u.id = p.user_id AND u.key = ANY($1) AND p.server_id = $2",
                [keys.into(), node.clone().into()],
            )
        }
    };
    db.execute_raw(statement).await.map(drop)
}
