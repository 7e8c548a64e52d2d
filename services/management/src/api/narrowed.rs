//! What a key that is narrowed to pools or groups does not see: asked once, before the operation, for all that the path names.

use poem::Request;
use poem_openapi::types::ParseFromParameter;
use vpnmanager_openapi::contract::scalars::PoolText;
use vpnmanager_openapi::middleware::RequestUri;
use vpnmanager_openapi::problem::ApiError;

use super::failure;
use super::scalars::{GroupText, ServerIdText, UsernameText};
use crate::app::App;
use crate::domain::scope::Scope;
use crate::ops::scope::{sees_node, sees_user};

/// As poem-openapi has the router call the first parameter of a path.
const FIRST_PARAMETER: &str = "param0";

/// What an operation does with a key that is narrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Narrowed {
    /// It refuses it.
    Refused,
    /// What the path names must be within it.
    ByPath,
    /// The same, and what the operation finds besides is within it too.
    ByOperation,
}

/// Refuses what is beyond the key: 404 as for what is not there, and 403 where the operation cannot be narrowed.
pub(super) async fn refuse_beyond(request: &Request, scope: &Scope, narrowed: Narrowed) -> Result<(), ApiError> {
    if scope.is_whole() {
        return Ok(());
    }
    let Some(app) = request.data::<App>() else {
        return Err(ApiError::unavailable("keys cannot be checked"));
    };
    let names_something = refuse_unseen(app, request, scope).await?;
    match narrowed {
        Narrowed::ByOperation => Ok(()),
        Narrowed::ByPath if names_something => Ok(()),
        Narrowed::ByPath | Narrowed::Refused => Err(failure::keys::narrowed()),
    }
}

/// Refuses what the path names and the key does not see, and says whether it names anything.
async fn refuse_unseen(app: &App, request: &Request, scope: &Scope) -> Result<bool, ApiError> {
    let mut names_something = false;
    if let Some(username) = named::<UsernameText>(request, "users") {
        let username = username.ok_or_else(failure::users::unknown_user)?;
        let seen = sees_user(&app.db, scope, &username.0).await;
        refuse_unless(
            seen.map_err(|error| failure::database(app, error))?,
            failure::users::unknown_user,
        )?;
        names_something = true;
    }
    if let Some(node) = named::<ServerIdText>(request, "endnodes") {
        let node = node.ok_or_else(failure::nodes::unknown_server)?;
        let seen = sees_node(&app.db, scope, &node.0).await;
        refuse_unless(
            seen.map_err(|error| failure::database(app, error))?,
            failure::nodes::unknown_server,
        )?;
        names_something = true;
    }
    if let Some(pool) = named::<PoolText>(request, "pools") {
        let seen = pool.is_some_and(|pool| scope.has_pool(pool.0.as_str()));
        refuse_unless(seen, failure::pools::unknown_pool)?;
        names_something = true;
    }
    if let Some(group) = named::<GroupText>(request, "groups") {
        let seen = group.is_some_and(|group| scope.has_group(group.0.as_str()));
        refuse_unless(seen, failure::groups::unknown_group)?;
        names_something = true;
    }
    Ok(names_something)
}

/// What the path names of this collection, as in `/api/users/alice`; `Some(None)`: nothing that can be one.
fn named<T: ParseFromParameter>(request: &Request, collection: &str) -> Option<Option<T>> {
    let uri = request.data::<RequestUri>()?;
    if uri.path().split('/').nth(2) != Some(collection) {
        return None;
    }
    let text = request.raw_path_param(FIRST_PARAMETER)?;
    Some(T::parse_from_parameter(text).ok())
}

fn refuse_unless(seen: bool, error: impl FnOnce() -> ApiError) -> Result<(), ApiError> {
    match seen {
        true => Ok(()),
        false => Err(error()),
    }
}
