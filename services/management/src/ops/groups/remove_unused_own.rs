//! Deletes the groups for own rules that nobody has any more.

use sea_orm::{DatabaseTransaction, DbErr};

use crate::{
    app::App,
    ops::{
        groups::{
            tell::raise_revision,
            unused_own::{Unused, delete_unused, is_any_old, note_unused},
        },
        in_turn::transact_on_fleet,
        nodes::{one_at_a_time::one_at_a_time, request_handshakes::request_all},
    },
};

/// Deletes those that nobody has had for an hour, unless nodes have yet to hear where users of the same group are, and has all nodes asked for a
/// handshake if there were any. Replicas may do this at once.
pub async fn remove_unused_own_groups(app: &App) -> Result<(), DbErr> {
    note_unused(&app.db).await?;
    if !is_any_old(&app.db).await? {
        return Ok(());
    }
    transact_on_fleet(app, |tx| async move { record(&tx).await }).await
}

async fn record(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    one_at_a_time(transaction).await?;
    // Another replica may have been faster.
    if !is_any_old(transaction).await? {
        return Ok(());
    }
    // Nodes before groups, as everywhere.
    request_all(transaction).await?;
    if delete_unused(transaction, Unused::Old).await? > 0 {
        raise_revision(transaction).await?;
    }
    Ok(())
}
