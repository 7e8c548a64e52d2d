//! Places users that have fewer nodes than they should and could have.

use chrono::Utc;
use sea_orm::DbErr;
use vpnmanager_runtime::reconcile::Next;

use crate::{app::App, domain::placement::Goal, ops::placement::fill::place_users};

pub(super) async fn place(app: App) -> Result<Next, DbErr> {
    let goal = Goal {
        replicas: app.config.placement.replicas,
        lost_before: Utc::now() - app.config.health.rehome_after,
    };
    let placed = place_users(&app.db, goal).await?;
    if placed.users > 0 {
        app.publisher.wake();
    }
    Ok(if placed.more { Next::Again } else { Next::Idle })
}
