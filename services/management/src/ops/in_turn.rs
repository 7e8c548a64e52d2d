//! Transactions that would wait for each other's locks come one after the other before they begin: whoever waits holds no connection, so a
//! thousand callers who change one user, or the fleet, leave all connections to others. Other replicas are waited for in the database.

use std::error::Error;

use sea_orm::DbErr;
use vpnmanager_nats::username::Username;

use super::transact::{Transaction, transact};
use crate::app::App;

/// Like [`transact`], for what locks this user first.
pub(super) async fn transact_on_user<T, E, Operation, Run>(
    app: &App,
    username: &Username,
    operation: Operation,
) -> Result<T, E>
where
    E: Error + From<DbErr> + 'static,
    Operation: FnMut(Transaction) -> Run,
    Run: Future<Output = Result<T, E>>,
{
    let _turn = app.turns_of_users.of(username).await;
    transact(&app.db, operation).await
}

/// Like [`transact`], for changes of nodes, pools and groups, which come [one at a time](super::nodes::one_at_a_time).
pub(super) async fn transact_on_fleet<T, E, Operation, Run>(app: &App, operation: Operation) -> Result<T, E>
where
    E: Error + From<DbErr> + 'static,
    Operation: FnMut(Transaction) -> Run,
    Run: Future<Output = Result<T, E>>,
{
    let _turn = app.turn_of_fleet.lock().await;
    transact(&app.db, operation).await
}
