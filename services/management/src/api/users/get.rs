//! `GET /api/users/{username}`.

use vpnmanager_nats::username::Username;
use vpnmanager_openapi::problem::ApiError;

use super::schema::User;
use crate::api::failure;
use crate::app::App;
use crate::ops::quotas::read::read_counted;
use crate::ops::users::effective_limits::effective_limits;
use crate::ops::users::read;

pub(super) async fn get_user(app: &App, username: &Username) -> Result<User, ApiError> {
    let found = read::get_user(&app.db, username).await;
    let view = found
        .map_err(|error| failure::database(app, error))?
        .ok_or_else(failure::users::unknown_user)?;
    let counted = read_counted(&app.db, &view.user).await;
    let counted = counted.map_err(|error| failure::database(app, error))?;
    let limits = effective_limits(&app.db, &view.user).await;
    let limits = limits.map_err(|error| failure::database(app, error))?;
    let user = User::of(view).with_traffic(counted);
    Ok(match limits {
        Some(limits) => user.with_limits(limits),
        None => user,
    })
}
