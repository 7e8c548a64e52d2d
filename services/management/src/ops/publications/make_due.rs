//! Makes placements due: the publisher takes them next, regardless of earlier tries.

use sea_orm::{ConnectionTrait, DbErr, Statement};
use vpnmanager_nats::ids::{NodeId, UserKey};

/// Sets the wanted revision of these users' placements to the users' newest revision.
pub async fn want_newest(db: &impl ConnectionTrait, users: &[i64]) -> Result<(), DbErr> {
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        "UPDATE placements p SET wanted_revision = u.revision, lease_until = 'epoch', attempts = 0
         FROM users u WHERE u.id = p.user_id AND u.id = ANY($1)",
        [users.to_vec().into()],
    );
    db.execute_raw(statement).await.map(drop)
}

/// The commands that the stream may have lost.
#[derive(Debug, Clone, Copy)]
pub enum Lost<'a> {
    /// All commands: the store was replaced.
    Store,
    /// All commands of one node.
    Node(&'a NodeId),
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
        // The sequences stay: the stream is the same, and publishing compares them.
        Lost::Node(node) => Statement::from_sql_and_values(
            backend,
            "UPDATE placements SET published_revision = 0, lease_until = 'epoch', attempts = 0 WHERE server_id = $1",
            [node.clone().into()],
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
