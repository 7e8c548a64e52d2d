//! `/api/certificates`: which certificates the fleet has, and when they end.

mod schema;

use poem::web::Data;
use poem_openapi::OpenApi;
use poem_openapi::param::Query;
use vpnmanager_openapi::middleware::RequestUri;
use vpnmanager_openapi::page::{PageAnswer, PageLimit};
use vpnmanager_openapi::problem::ApiError;
use vpnmanager_openapi::time::Timestamp;

use super::access::WholeViewer;
use super::failure;
use super::scalars::{ServerIdText, UsernameText};
use super::tags::Tag;
use crate::app::App;
use crate::ops::certificates::list::{CertificateFilter, list_certificates};
use schema::{Certificate, CertificateCursor, KindText, StateText};

pub(super) struct CertificatesApi;

#[OpenApi(prefix_path = "/api/certificates", tag = "Tag::Certificates")]
impl CertificatesApi {
    /// List certificates
    ///
    /// The fleet's certificate authority, and the certificates of servers, of the bus, of HTTPS and of users' devices; those of
    /// old servers are not among them. The one that ends first is the first. Only those that match all given filters are listed.
    #[oai(path = "/", method = "get", operation_id = "list_certificates")]
    #[expect(clippy::too_many_arguments, reason = "one for each query parameter")]
    async fn list(
        &self,
        _viewer: WholeViewer,
        app: Data<&App>,
        uri: RequestUri,
        /// Items on a page, 1 to 1000.
        limit: Query<Option<PageLimit>>,
        /// `next_cursor` of the previous page.
        cursor: Query<Option<CertificateCursor>>,
        /// Only those for this.
        kind: Query<Option<KindText>>,
        /// Only those in this state.
        state: Query<Option<StateText>>,
        /// Only those that end before this time.
        expires_before: Query<Option<Timestamp>>,
        /// Only that of this server, or of this management replica, and those of devices whose keys this server made.
        server_id: Query<Option<ServerIdText>>,
        /// Only those of users of this name.
        username: Query<Option<UsernameText>>,
    ) -> Result<PageAnswer<Certificate>, ApiError> {
        let limit = limit.0.unwrap_or_default();
        let after = cursor.0.map(|cursor| cursor.position());
        let filter = CertificateFilter {
            kind: kind.0.map(|kind| kind.0),
            state: state.0.map(|state| state.0),
            expires_before: expires_before.0.map(Timestamp::to_utc),
            server_id: server_id.0.map(|id| id.0),
            username: username.0.map(|name| name.0),
        };
        let rows = list_certificates(&app.db, &filter, after, limit.fetch()).await;
        let rows = rows.map_err(|error| failure::database(&app, error))?;
        Ok(PageAnswer::new(rows, limit, &uri, |row| row.place, Certificate::of))
    }
}
