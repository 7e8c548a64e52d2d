//! Makes the groups in which nodes know users who have own rules.

use sea_orm::{ActiveModelTrait, ActiveValue::Set, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait};
use vpnmanager_entities::{group, own_group};

use crate::{
    app::App,
    domain::own_rules::OwnGroup,
    ops::{
        groups::{
            check::CheckGroupError,
            tell::{TellGroupsError, check_room, count_change},
        },
        in_turn::transact_on_fleet,
        nodes::{one_at_a_time::one_at_a_time, request_handshakes::request_all},
    },
};

/// How often a group is made for one operation: housekeeping may have removed it again, because nobody was in it.
const MAX_MADE: u32 = 3;

/// Why no user can have such own rules.
#[derive(Debug, thiserror::Error)]
pub enum OwnGroupError {
    /// They cannot be so.
    #[error(transparent)]
    Check(#[from] CheckGroupError),
    /// Nodes cannot be told.
    #[error(transparent)]
    Tell(#[from] TellGroupsError),
    /// The database failed.
    #[error("recording the group for own rules failed")]
    Database(#[from] DbErr),
}

/// An error of an operation that may lack a group for own rules.
pub(in crate::ops) trait LacksOwnGroup: From<OwnGroupError> {
    /// The group that is not there.
    fn lacking(&self) -> Option<&OwnGroup>;
}

/// Carries out an operation that puts a user into a group for own rules. Where that is not there it is made, in a transaction of its own, and
/// the operation runs again: so nodes may be told of the group before the first command names it, and most changes of users wait for no change
/// of a group.
pub(in crate::ops) async fn with_own_group<T, E, Run>(app: &App, mut operation: impl FnMut() -> Run) -> Result<T, E>
where
    E: LacksOwnGroup,
    Run: Future<Output = Result<T, E>>,
{
    for _ in 0..MAX_MADE {
        let error = match operation().await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let Some(lacking) = error.lacking() else {
            return Err(error);
        };
        ensure_own_group(app, lacking).await?;
    }
    operation().await
}

/// Makes the group if it is not there, and has all nodes asked for a handshake, whose answer brings it. Does nothing where its base is not there:
/// the operation that wanted it says so. Who wants it has checked the rules.
pub(in crate::ops) async fn ensure_own_group(app: &App, wanted: &OwnGroup) -> Result<(), OwnGroupError> {
    // Many users may get the same new rules at once: while one of them waits for changes of groups, the others hold no connection.
    let _turn = app.own_group_turn.lock().await;
    if is_there(&app.db, wanted).await? {
        return Ok(());
    }
    transact_on_fleet(app, |tx| async move { record(&tx, wanted).await }).await
}

async fn is_there(db: &impl ConnectionTrait, wanted: &OwnGroup) -> Result<bool, DbErr> {
    let found = own_group::Entity::find_by_id(wanted.name.clone()).one(db).await?;
    Ok(found.is_some())
}

async fn record(transaction: &DatabaseTransaction, wanted: &OwnGroup) -> Result<(), OwnGroupError> {
    one_at_a_time(transaction).await?;
    let base = group::Entity::find_by_group_name(&wanted.base).one(transaction).await?;
    if base.is_none() || is_there(transaction, wanted).await? {
        return Ok(());
    }
    // Nodes before groups, as everywhere.
    request_all(transaction).await?;
    check_room(transaction).await?;
    let row = own_group::ActiveModel {
        name: Set(wanted.name.clone()),
        group_name: Set(wanted.base.clone()),
        rules: Set(wanted.rules.clone()),
        ..Default::default()
    };
    row.insert(transaction).await?;
    count_change(transaction).await?;
    Ok(())
}
