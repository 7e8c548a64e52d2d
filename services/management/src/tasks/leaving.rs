//! Goes on with nodes on their way out of the fleet or into another pool, where the one who asked for it has died.

use vpnmanager_runtime::reconcile::Next;

use crate::{
    app::App,
    ops::nodes::leave::{find_leaving, leave_fleet, leave_pool},
};

pub(super) async fn go_on(app: App) -> anyhow::Result<Next> {
    for server in find_leaving(&app.db).await? {
        if server.is_deregistered() {
            leave_fleet(&app, &server.name).await?;
        } else {
            leave_pool(&app, &server.name).await?;
        }
    }
    Ok(Next::Idle)
}
