//! Counts changes of groups, as nodes hear of them.

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, PaginatorTrait};
use vpnmanager_entities::{group, own_group};
use vpnmanager_nats::groups::MOST_GROUPS;

use crate::{
    domain::group::fit,
    ops::groups::{
        told::told_groups,
        unused_own::{Unused, delete_unused},
    },
};

/// The most groups of operators and for own rules together.
const MOST: u64 = MOST_GROUPS as u64;

/// Why nodes cannot be told of a change.
#[derive(Debug, thiserror::Error)]
pub enum TellGroupsError {
    /// There are as many groups as there may be.
    #[error("there are {groups} groups, and {own} for own values of users, and no more may be made")]
    TooMany {
        /// Those that operators made.
        groups: u64,
        /// Those for own rules of users.
        own: u64,
    },
    /// The rules of all groups are longer than what a node is told.
    #[error("the rules of all groups together are too long for the nodes")]
    TooLong {
        /// Those among them for own rules of users, which repeat what other groups say.
        own: u64,
    },
    /// The database failed.
    #[error("recording what nodes are told failed")]
    Database(#[from] DbErr),
}

/// Checks that there may be one more group. Those for own rules of users count too; where there is no room, as many are deleted of those that
/// nobody has as are needed. The caller has had all nodes asked for a handshake, because nodes are locked before groups.
pub(super) async fn check_room(transaction: &DatabaseTransaction) -> Result<(), TellGroupsError> {
    let mut counted = Counted::count(transaction).await?;
    if counted.beyond() > 0 {
        delete_unused(transaction, Unused::Longest(counted.beyond())).await?;
        counted = Counted::count(transaction).await?;
    }
    match counted.beyond() {
        0 => Ok(()),
        _ => Err(TellGroupsError::TooMany {
            groups: counted.groups,
            own: counted.own,
        }),
    }
}

/// How many groups there are.
struct Counted {
    groups: u64,
    own: u64,
}

impl Counted {
    async fn count(transaction: &DatabaseTransaction) -> Result<Self, DbErr> {
        Ok(Self {
            groups: group::Entity::find().count(transaction).await?,
            own: own_group::Entity::find().count(transaction).await?,
        })
    }

    /// How many are too many once there is one more.
    fn beyond(&self) -> u64 {
        (self.groups + self.own + 1).saturating_sub(MOST)
    }
}

/// Counts a change that this transaction has written, so that a node can say whether it has applied it. The caller has the nodes asked for
/// a handshake, whose answer brings it.
pub(super) async fn count_change(transaction: &DatabaseTransaction) -> Result<(), TellGroupsError> {
    raise_revision(transaction).await?;
    match told_groups(transaction).await? {
        Some(groups) if !fit(&groups) => {
            let own = own_group::Entity::find().count(transaction).await?;
            Err(TellGroupsError::TooLong { own })
        }
        Some(_) | None => Ok(()),
    }
}

/// Raises the revision of what nodes are told. Alone it is enough where groups were only deleted: what is left is no longer than it was.
pub(super) async fn raise_revision(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    transaction
        .execute_unprepared("UPDATE groups_told SET revision = revision + 1")
        .await
        .map(drop)
}
