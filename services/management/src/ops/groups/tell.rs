//! Counts changes of groups, as nodes hear of them.

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};

use crate::{domain::group::fit, ops::groups::told::told_groups};

/// Why nodes cannot be told of a change.
#[derive(Debug, thiserror::Error)]
pub enum TellGroupsError {
    /// The rules of all groups are longer than what a node is told.
    #[error("the rules of all groups together are too long for the nodes")]
    TooLong,
    /// The database failed.
    #[error("recording what nodes are told failed")]
    Database(#[from] DbErr),
}

/// Counts a change that this transaction has written, so that a node can say whether it has applied it. The caller has the nodes asked for
/// a handshake, whose answer brings it.
pub(super) async fn count_change(transaction: &DatabaseTransaction) -> Result<(), TellGroupsError> {
    transaction
        .execute_unprepared("UPDATE groups_told SET revision = revision + 1")
        .await?;
    match told_groups(transaction).await? {
        Some(groups) if !fit(&groups) => Err(TellGroupsError::TooLong),
        Some(_) | None => Ok(()),
    }
}
