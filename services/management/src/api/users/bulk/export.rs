//! `GET /api/users.csv`: written while it is read, page by page.

use std::io;

use bytes::Bytes;
use futures_util::{StreamExt as _, future, stream};
use poem::Body;
use poem_openapi::ApiResponse;
use poem_openapi::payload::Binary;
use sea_orm::DbErr;
use vpnmanager_openapi::problem::ApiError;
use vpnmanager_runtime::error_chain::chain;
use vpnmanager_runtime::log_limit::LogLimit;

use crate::api::failure;
use crate::app::App;
use crate::domain::users_csv::{HEADER, rows_of};
use crate::ops::users::read::{UserFilter, UserView, list_users};

/// Users that are read at once; not more than two pages are in memory.
const PAGE: u64 = 1000;
/// What the browser stores it as.
const DISPOSITION: &str = "attachment; filename=\"users.csv\"";

static CUT_SHORT: LogLimit = LogLimit::new("an export of users was cut short");

#[derive(ApiResponse)]
pub(super) enum ExportedUsers {
    /// The users, with a header.
    #[oai(status = 200, content_type = "text/csv; charset=utf-8")]
    Csv(
        Binary<Body>,
        /// An attachment.
        #[oai(header = "Content-Disposition")]
        String,
    ),
}

/// What is still to be written.
struct Export {
    app: App,
    filter: UserFilter,
    /// The page that is written next; an empty one is the end.
    page: Vec<UserView>,
}

/// The answer begins when the first page is read, so that a database that is away is told as everywhere.
pub(super) async fn export_users(app: &App, filter: UserFilter) -> Result<ExportedUsers, ApiError> {
    let page = read(app, &filter, None).await;
    let page = page.map_err(|error| failure::database(app, error))?;
    let export = Export {
        app: app.clone(),
        filter,
        page,
    };
    let header: io::Result<Bytes> = Ok(Bytes::from_static(HEADER.as_bytes()));
    let header = stream::once(future::ready(header));
    let rows = stream::try_unfold(export, Export::write);
    let body = Body::from_bytes_stream(header.chain(rows));
    Ok(ExportedUsers::Csv(Binary(body), DISPOSITION.to_owned()))
}

async fn read(app: &App, filter: &UserFilter, after: Option<i64>) -> Result<Vec<UserView>, DbErr> {
    list_users(&app.db, filter, after, PAGE).await
}

impl Export {
    /// Writes a page and reads the next one. After an error the connection ends before the answer does, so that nobody takes it for the whole.
    async fn write(mut self) -> io::Result<Option<(Bytes, Self)>> {
        let Some(last) = self.page.last() else {
            return Ok(None);
        };
        let after = last.user.id;
        let text = rows_of(self.page.iter().map(|view| &view.user))?;
        self.page = if (self.page.len() as u64) < PAGE {
            Vec::new()
        } else {
            let page = read(&self.app, &self.filter, Some(after)).await;
            page.map_err(cut_short)?
        };
        Ok(Some((text.into(), self)))
    }
}

fn cut_short(error: DbErr) -> io::Error {
    if let Some(times) = CUT_SHORT.admit() {
        tracing::warn!(error = %chain(&error), times, "An export of users was cut short");
    }
    io::Error::other(error)
}
