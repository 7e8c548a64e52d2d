//! Restarts OpenVPN on the nodes of pools, one node after another, where an operator asked for it.

use std::time::Duration;

use sea_orm::DbErr;
use vpnmanager_runtime::reconcile::Next;

use crate::{app::App, ops::rollouts::go_on::advance_rollouts};

/// Between two looks at what became of the node whose turn it is.
const LOOK: Duration = Duration::from_secs(1);

pub(super) async fn go_on(app: App) -> Result<Next, DbErr> {
    Ok(match advance_rollouts(&app).await? {
        true => Next::After(LOOK),
        false => Next::Idle,
    })
}
