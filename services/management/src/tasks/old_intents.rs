//! Forgets answers to local requests of nodes that no node asks for any more.

use sea_orm::DbErr;
use vpnmanager_runtime::reconcile::Next;

use crate::{app::App, ops::users::forget_intents::forget_intents};

pub(super) async fn forget(app: App) -> Result<Next, DbErr> {
    let more = forget_intents(&app.db).await?;
    Ok(if more { Next::Again } else { Next::Idle })
}
