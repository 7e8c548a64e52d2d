//! `/api/users/{username}/old-certificates`: certificates of servers that nodes took over. They come by an import.

mod schema;

use poem::web::Data;
use poem_openapi::OpenApi;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use vpnmanager_openapi::problem::ApiError;
use vpnmanager_openapi::wait::Wait;

use super::access::{Operator, Viewer};
use super::failure;
use super::scalars::{ServerIdText, UsernameText};
use super::tags::Tag;
use super::users::{Stopping, User, settled};
use crate::app::App;
use crate::ops::old_certificates::change::change_old_certificate;
use crate::ops::old_certificates::list::list_old_certificates;
use crate::ops::old_certificates::locked::Named;
use crate::ops::old_certificates::revoke_one::revoke_old_certificate;
use schema::{CommonNameText, OldCertificate, OldCertificateChanges, OldCertificates};

pub(super) struct OldCertificatesApi;

#[OpenApi(prefix_path = "/api/users", tag = "Tag::Users")]
impl OldCertificatesApi {
    /// List the old certificates of a user
    ///
    /// Certificates of the authority of a server that an end-node took over, in the order of their import. The old listener of that end-node accepts
    /// them, and nothing else does. It is no page: there is one for each end-node and name.
    #[oai(
        path = "/:username/old-certificates",
        method = "get",
        operation_id = "list_old_certificates"
    )]
    async fn list(
        &self,
        _viewer: Viewer,
        app: Data<&App>,
        /// The user's name.
        username: Path<UsernameText>,
    ) -> Result<Json<OldCertificates>, ApiError> {
        let found = list_old_certificates(&app.db, &username.0.0).await;
        found
            .map(|found| Json(OldCertificates::of(found)))
            .map_err(|error| failure::users::of_living_user(&app, error))
    }

    /// Change until when an old certificate is accepted
    ///
    /// The end-node enforces it by its own clock, and cuts the sessions at that time. 404 if the user has no such certificate that is not revoked.
    #[oai(
        path = "/:username/old-certificates/:node/:common_name",
        method = "patch",
        operation_id = "change_old_certificate"
    )]
    async fn change(
        &self,
        operator: Operator,
        app: Data<&App>,
        /// The user's name.
        username: Path<UsernameText>,
        /// The end-node that accepts it.
        node: Path<ServerIdText>,
        /// Its common name.
        common_name: Path<CommonNameText>,
        body: Json<OldCertificateChanges>,
    ) -> Result<Json<OldCertificate>, ApiError> {
        let named = Named {
            node: node.0.0,
            common_name: common_name.0.0,
        };
        let changed = change_old_certificate(app.0, &operator, &username.0.0, &named, body.0.expires_at()).await;
        changed
            .map(|changed| Json(OldCertificate::of(changed)))
            .map_err(|error| failure::imports::of_old_certificate(&app, error))
    }

    /// Revoke an old certificate
    ///
    /// For ever, and its sessions end. Profiles of the user go on, and so do other old certificates. An import of the same source does not bring it
    /// back. The answer is the user: `nodes` shows which servers have not applied it yet.
    #[oai(
        path = "/:username/old-certificates/:node/:common_name",
        method = "delete",
        operation_id = "delete_old_certificate"
    )]
    #[expect(clippy::too_many_arguments, reason = "one for each parameter")]
    async fn revoke(
        &self,
        operator: Operator,
        app: Data<&App>,
        stopping: Data<&Stopping>,
        /// The user's name.
        username: Path<UsernameText>,
        /// The end-node that accepts it.
        node: Path<ServerIdText>,
        /// Its common name.
        common_name: Path<CommonNameText>,
        /// How long to wait for the servers, 0s to 60s. Not at all while as many requests wait as are allowed.
        wait: Query<Option<Wait>>,
    ) -> Result<Json<User>, ApiError> {
        let named = Named {
            node: node.0.0,
            common_name: common_name.0.0,
        };
        let view = revoke_old_certificate(app.0, &operator, &username.0.0, &named).await;
        let view = view.map_err(|error| failure::imports::of_old_certificate(&app, error))?;
        Ok(Json(settled(app.0, stopping.0, &operator, view, wait.0).await))
    }
}
