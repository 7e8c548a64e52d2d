//! Gives the users of nodes whose keys are lost new credentials, some users at a time.

use std::time::Duration;

use sea_orm::DbErr;
use vpnmanager_runtime::reconcile::Next;

use crate::{
    app::App,
    ops::reissues::go_on::{Left, reissue_some},
};

/// Between two batches: each user has the home make a key and a profile, and whoever wants something else of that node must not wait behind all.
const PACE: Duration = Duration::from_millis(100);
/// What has to wait is looked at again after this.
const BUSY_FOR: Duration = Duration::from_millis(50);

pub(super) async fn go_on(app: App) -> Result<Next, DbErr> {
    Ok(match reissue_some(&app).await? {
        Left::Nothing => Next::Idle,
        Left::More => Next::After(PACE),
        Left::Busy => Next::After(BUSY_FOR),
    })
}
