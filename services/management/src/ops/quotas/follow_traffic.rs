//! What follows from traffic that was just recorded.

use sea_orm::DbErr;

use super::{judge::judge_all, read::Quotas, refuse_again::refuse_again};
use crate::app::App;

/// Judges the users with these row ids, to whose traffic something was just added, and refuses once more who is connected although it is over the
/// quota. Where none of them has a quota, nothing is asked but that.
pub async fn follow_traffic(app: &App, users: &[i64]) -> Result<(), DbErr> {
    if users.is_empty() {
        return Ok(());
    }
    let quotas = Quotas::of(&app.db, users).await?;
    if quotas.is_empty() {
        return Ok(());
    }
    judge_all(app, &quotas, users).await?;
    refuse_again(app, users).await
}
