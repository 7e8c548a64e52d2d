//! Goes on with nodes on their way out of the fleet or into another pool, where the one who asked for it has died.

use anyhow::Context;
use vpnmanager_runtime::reconcile::Next;

use crate::{
    app::App,
    ops::nodes::leave::{find_leaving, leave},
};

pub(super) async fn go_on(app: App) -> anyhow::Result<Next> {
    for server in find_leaving(&app.db).await? {
        leave(&app, &server.name).await?;
        if server.is_deregistered() {
            app.topology
                .remove_node(&server.name)
                .await
                .context("removing the commands of a deregistered node failed")?;
        }
    }
    Ok(Next::Idle)
}
