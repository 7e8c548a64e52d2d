//! `/api/imports`: imports what old servers left.

mod body;
mod create;
mod policies;
mod schema;

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::OpenApi;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use tokio::sync::Mutex;
use vpnmanager_openapi::middleware::RequestUri;
use vpnmanager_openapi::page::{NameCursor, PageAnswer, PageLimit};
use vpnmanager_openapi::problem::ApiError;
use vpnmanager_openapi::time::Timestamp;

use super::access::{Admin, WholeViewer};
use super::failure;
use super::scalars::{FreeText, GroupText, ServerIdText};
use super::tags::Tag;
use crate::app::App;
use crate::domain::import::policies::Policies;
use crate::ops::import::read;
use body::SourceBody;
use create::Upload;
use policies::{ExpiredText, RefusedNamesText, SameNameText, TwoCertificatesText};
use schema::{Import, ImportIdText, ListedImport, Report};

/// The largest source that is taken, in bytes.
pub(crate) const LARGEST_SOURCE: usize = 64 * 1024 * 1024;

/// All uploads of this process come in turn: what one is unpacked to takes room, and who waits in the database keeps one of its few connections.
#[derive(Default)]
pub(super) struct ImportsApi {
    turn: Arc<Mutex<()>>,
}

#[OpenApi(prefix_path = "/api/imports", tag = "Tag::Imports")]
impl ImportsApi {
    /// List imports
    ///
    /// The newest first. Trials, and imports that changed nothing, are not among them.
    #[oai(path = "/", method = "get", operation_id = "list_imports")]
    async fn list(
        &self,
        _viewer: WholeViewer,
        app: Data<&App>,
        uri: RequestUri,
        /// Items on a page, 1 to 1000.
        limit: Query<Option<PageLimit>>,
        /// `next_cursor` of the previous page.
        cursor: Query<Option<NameCursor>>,
    ) -> Result<PageAnswer<ListedImport>, ApiError> {
        let limit = limit.0.unwrap_or_default();
        let before = cursor.0.map(|cursor| cursor.position());
        let rows = read::list_imports(&app.db, before, limit.fetch()).await;
        let rows = rows.map_err(|error| failure::database(&app, error))?;
        Ok(PageAnswer::new(
            rows,
            limit,
            &uri,
            |listed| listed.id.to_string(),
            ListedImport::of,
        ))
    }

    /// Get an import
    ///
    /// With its report, as the answer to the import had it.
    #[oai(path = "/:id", method = "get", operation_id = "get_import")]
    async fn get(
        &self,
        _viewer: WholeViewer,
        app: Data<&App>,
        /// The import.
        id: Path<ImportIdText>,
    ) -> Result<Json<Import>, ApiError> {
        let found = read::get_import(&app.db, id.0.0).await;
        let found = found.map_err(|error| failure::database(&app, error))?;
        let found = found.ok_or_else(|| ApiError::not_found("there is no such import"))?;
        Ok(Json(Import::of(found)))
    }

    /// Import a source of an old server
    ///
    /// The body is what one server left: a tar of its `/etc/openvpn`, of an easy-rsa folder or of both, compressed by gzip or not, its database of users
    /// (SQLite), or a list (CSV). Users are created with the node as home, and with a profile as every user has one; the old listener of the node goes on
    /// to accept their certificates. The source is imported in one transaction, and repeating it changes nothing. What is wrong with single entries stands in the
    /// answer, and stops no other one; a source that cannot be read is 400, and nothing is done. Links in an archive are left out, and a path that leads out of
    /// it is 400. Private keys are not needed: leave them out.
    ///
    /// The answer has the entries that say more than that all is well, the first 10,000 of them.
    #[oai(path = "/", method = "post", operation_id = "import_source")]
    #[expect(clippy::too_many_arguments, reason = "one for each query parameter")]
    async fn create(
        &self,
        admin: Admin,
        app: Data<&App>,
        /// The end-node that the source is of: the one whose agent runs on that machine.
        node: Query<ServerIdText>,
        /// What the source is called, in the report and in the list; `upload` when it is left out.
        source: Query<Option<FreeText>>,
        /// `true`: say what would happen, and change nothing.
        dry_run: Query<Option<bool>>,
        /// What becomes of somebody who has the name of a user of another server: `join` (one user, with one more old certificate), which is the default, `skip`, or
        /// `rename` (with the end-node behind the name).
        same_name: Query<Option<SameNameText>>,
        /// What becomes of a name that usernames refuse: `skip`, which is the default, or `replace` (each character that is refused becomes a dash).
        refused_names: Query<Option<RefusedNamesText>>,
        /// What becomes of somebody who has no access any more, or whose certificates have ended: `skip`, which is the default, or `import`.
        expired: Query<Option<ExpiredText>>,
        /// What becomes of several valid certificates of one name: `keep` (all are accepted), which is the default, or `newest` (the others are revoked).
        two_certificates: Query<Option<TwoCertificatesText>>,
        /// The group of the users that are created. Members of another one than `default` are not let in at the old listener.
        group: Query<Option<GroupText>>,
        /// Until when old certificates are accepted; as long as they are valid when it is left out.
        old_until: Query<Option<Timestamp>>,
        body: SourceBody,
    ) -> Result<Json<Report>, ApiError> {
        let upload = Upload {
            node: node.0.0,
            source: source.0.map_or_else(|| "upload".to_owned(), FreeText::into_string),
            is_trial: dry_run.0.unwrap_or_default(),
            policies: Policies {
                same_name: same_name.0.map(|policy| policy.0).unwrap_or_default(),
                refused_names: refused_names.0.map(|policy| policy.0).unwrap_or_default(),
                ended: expired.0.map(|policy| policy.0).unwrap_or_default(),
                two_certificates: two_certificates.0.map(|policy| policy.0).unwrap_or_default(),
                group: group.0.map(|group| group.0).unwrap_or_default(),
                old_until: old_until.0.map(Timestamp::to_utc),
            },
        };
        create::import_source(app.0, &self.turn, &admin, upload, body)
            .await
            .map(Json)
    }
}
