//! Revokes the credentials of nodes whose keys others may have, some users at a time.

use sea_orm::DbErr;
use vpnmanager_runtime::reconcile::Next;

use crate::{app::App, ops::credentials::revoke_node::revoke_some};

pub(super) async fn revoke(app: App) -> Result<Next, DbErr> {
    let revoked = revoke_some(&app.db).await?;
    if revoked.users > 0 {
        app.wake_publishers();
    }
    Ok(if revoked.more { Next::Again } else { Next::Idle })
}
