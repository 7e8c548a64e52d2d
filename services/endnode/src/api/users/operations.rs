//! The operations on users.

use poem::web::{Data, RemoteAddr};
use poem_openapi::{
    OpenApi,
    param::{Path, Query},
    payload::Json,
};
use vpnmanager_openapi::{
    auth::Caller,
    middleware::RequestUri,
    page::{NameCursor, PageAnswer, PageLimit},
    problem::ApiError,
};

use super::{
    answers::{Created, Deleted},
    asker::Asker,
    create::{NewUser, create},
    delete::delete,
    local_user::LocalUser,
    read,
};
use crate::api::{access::Operator, local::LocalNode, scalars::UsernameText, tags::Tag};

pub(crate) struct UsersApi;

#[OpenApi(tag = "Tag::Users", prefix_path = "/api/users")]
impl UsersApi {
    /// List users
    ///
    /// The users that the node holds, and creates that wait for management or were refused, in the order of their names.
    #[oai(path = "/", method = "get", operation_id = "list_users")]
    async fn list(
        &self,
        node: Data<&LocalNode>,
        _caller: Caller<Operator>,
        uri: RequestUri,
        /// Items on the page.
        limit: Query<Option<PageLimit>>,
        /// Where the page begins: `next_cursor` of the page before.
        cursor: Query<Option<NameCursor>>,
    ) -> Result<PageAnswer<LocalUser>, ApiError> {
        let limit = limit.0.unwrap_or_default();
        let after = cursor.0.map(|cursor| cursor.position());
        let rows = read::page(node.shared()?, after.unwrap_or_default(), limit.fetch()).await?;
        Ok(PageAnswer::new(
            rows,
            limit,
            &uri,
            |user| user.username.clone(),
            |user| user,
        ))
    }

    /// Create a user
    ///
    /// Management decides: 201 when it accepts within five seconds, 202 when it does not answer in time and the request waits for it.
    /// This node is the new user's home.
    #[oai(path = "/", method = "post", operation_id = "create_user")]
    async fn create(
        &self,
        node: Data<&LocalNode>,
        _caller: Caller<Operator>,
        source: &RemoteAddr,
        user: Json<NewUser>,
    ) -> Result<Created, ApiError> {
        create(node.shared()?, user.0, Asker::of(source)).await
    }

    /// Get a user
    ///
    /// The user as the node holds it, or the create that waits for management. A user that was deleted on this node is not found, and
    /// neither is one whom management refused to create, though the list shows both for a while, as `deleting` and `refused`.
    #[oai(path = "/:username", method = "get", operation_id = "get_user")]
    async fn get(
        &self,
        node: Data<&LocalNode>,
        _caller: Caller<Operator>,
        /// The user's name.
        username: Path<UsernameText>,
    ) -> Result<Json<LocalUser>, ApiError> {
        read::one(node.shared()?, username.0.to_username()?).await.map(Json)
    }

    /// Delete a user
    ///
    /// Acts at once, also while management is away: the user is refused and cut on this node, and management is told.
    #[oai(path = "/:username", method = "delete", operation_id = "delete_user")]
    async fn delete(
        &self,
        node: Data<&LocalNode>,
        _caller: Caller<Operator>,
        source: &RemoteAddr,
        /// The user's name.
        username: Path<UsernameText>,
    ) -> Result<Deleted, ApiError> {
        delete(node.shared()?, username.0.to_username()?, Asker::of(source)).await
    }
}
