//! Links that hand out the profile of a device of a user: `/api/users/{username}/links`, and the pages below `/p/` that they lead to.

pub(super) mod pages;
mod schema;

use std::time::Duration;

use poem::web::Data;
use poem_openapi::OpenApi;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use vpnmanager_openapi::middleware::RequestUri;
use vpnmanager_openapi::page::{IdCursor, PageAnswer, PageLimit};
use vpnmanager_openapi::problem::ApiError;

use super::access::{Operator, Viewer};
use super::failure;
use super::scalars::{DeviceText, IdText, UsernameText};
use super::tags::Tag;
use crate::app::App;
use crate::ops::links::create::{self, LinkTerms};
use crate::ops::links::{list, revoke};
use schema::{LinkCreated, ListedLink, NewProfileLink, RevokedLink};

const DEFAULT_TTL: Duration = Duration::from_secs(60 * 60);
const DEFAULT_USES: i16 = 1;

pub(super) struct LinksApi;

#[OpenApi(prefix_path = "/api/users", tag = "Tag::Users")]
impl LinksApi {
    /// Create a link to a profile
    ///
    /// For a user who should fetch the profile alone, without a key. The page behind the link has instructions for each system and a button
    /// that hands out the profile; looking at the page uses up nothing. Whoever has the link gets the profile, and so the access. It hands
    /// out what `GET /api/users/{username}/devices/{device}/profile` would hand out at that moment. 409 where `PUBLIC_URL` is not set.
    #[oai(
        path = "/:username/devices/:device/link",
        method = "post",
        operation_id = "create_profile_link"
    )]
    async fn create(
        &self,
        operator: Operator,
        app: Data<&App>,
        /// The user's name.
        username: Path<UsernameText>,
        /// The device.
        device: Path<DeviceText>,
        body: Json<NewProfileLink>,
    ) -> Result<LinkCreated, ApiError> {
        let terms = LinkTerms {
            time_to_live: body.0.ttl.map_or(DEFAULT_TTL, |ttl| ttl.duration()),
            uses: body.0.uses.unwrap_or(DEFAULT_USES),
        };
        let made = create::create_link(app.0, &operator, &username.0.0, &device.0.0, terms)
            .await
            .map_err(|error| failure::users::of_create_link(&app, error))?;
        Ok(LinkCreated::new(&made, terms.uses))
    }

    /// List the links to a user's profiles
    ///
    /// Those that still hand one out, the newest first. The links themselves are not shown: they are stored nowhere.
    #[oai(path = "/:username/links", method = "get", operation_id = "list_profile_links")]
    async fn list(
        &self,
        _viewer: Viewer,
        app: Data<&App>,
        uri: RequestUri,
        /// The user's name.
        username: Path<UsernameText>,
        /// Items on a page, 1 to 1000.
        limit: Query<Option<PageLimit>>,
        /// `next_cursor` of the previous page.
        cursor: Query<Option<IdCursor>>,
    ) -> Result<PageAnswer<ListedLink>, ApiError> {
        let limit = limit.0.unwrap_or_default();
        let before = cursor.0.map(|cursor| cursor.position());
        let rows = list::list_links(&app.db, &username.0.0, before, limit.fetch()).await;
        let rows = rows.map_err(|error| failure::users::of_living_user(&app, error))?;
        Ok(PageAnswer::new(rows, limit, &uri, |row| row.id, ListedLink::of))
    }

    /// Revoke a link to a profile
    ///
    /// It hands out nothing from now on. A profile that it handed out before stays valid: `reissue` with `old_profiles: revoke` ends that
    /// too, and every link to the profile of that device with it. A link that is used up or has expired stays as it is.
    #[oai(
        path = "/:username/links/:id",
        method = "delete",
        operation_id = "revoke_profile_link"
    )]
    async fn revoke(
        &self,
        operator: Operator,
        app: Data<&App>,
        /// The user's name.
        username: Path<UsernameText>,
        /// The id of the link, from the list or from the answer that showed the link.
        id: Path<IdText>,
    ) -> Result<RevokedLink, ApiError> {
        let revoked = revoke::revoke_link(app.0, &operator, &username.0.0, id.0.0).await;
        revoked
            .map(|()| RevokedLink::Done)
            .map_err(|error| failure::users::of_revoke_link(&app, error))
    }
}
