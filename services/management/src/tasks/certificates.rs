//! Looks at certificates each hour: which of its own this replica has, and whose end is to be told.

use crate::{
    app::App,
    ops::certificates::{record_own::record_own, tell_clients::tell_client_ends, tell_ends::tell_ends},
};

pub(super) async fn look_at(app: App) -> anyhow::Result<()> {
    record_own(&app).await?;
    tell_ends(&app.db, &app.config.server_id).await?;
    tell_client_ends(&app.db, &app.config.server_id).await?;
    Ok(())
}
