//! `GET /api/audit.jsonl` and `GET /api/audit.csv`: written while they are read, page by page.

use std::io;

use bytes::Bytes;
use futures_util::{StreamExt as _, future, stream};
use poem::Body;
use poem_openapi::ApiResponse;
use poem_openapi::payload::Binary;
use sea_orm::DbErr;
use vpnmanager_entities::audit_log;
use vpnmanager_openapi::problem::ApiError;
use vpnmanager_runtime::error_chain::chain;
use vpnmanager_runtime::log_limit::LogLimit;

use crate::api::failure;
use crate::app::App;
use crate::domain::audit_csv::{HEADER, rows_of};
use crate::ops::read_audit::{AuditFilter, ExportEnd, ExportLine, read_checkpoint_lines, read_following, read_lines};

/// Entries that are read at once; not more than two pages are in memory.
const PAGE: u32 = 1000;
/// What the browser stores them as.
const LINES: &str = "attachment; filename=\"audit.jsonl\"";
const CSV: &str = "attachment; filename=\"audit.csv\"";

static CUT_SHORT: LogLimit = LogLimit::new("an export of the audit trail was cut short");

#[derive(ApiResponse)]
pub(super) enum ExportedLines {
    /// The entries, and the checkpoints.
    #[oai(status = 200, content_type = "application/jsonl; charset=utf-8")]
    Lines(
        Binary<Body>,
        /// An attachment.
        #[oai(header = "Content-Disposition")]
        String,
    ),
}

#[derive(ApiResponse)]
pub(super) enum ExportedCsv {
    /// The entries, with a header.
    #[oai(status = 200, content_type = "text/csv; charset=utf-8")]
    Csv(
        Binary<Body>,
        /// An attachment.
        #[oai(header = "Content-Disposition")]
        String,
    ),
}

/// Which entries, and how far.
struct Export {
    app: App,
    filter: AuditFilter,
    end: ExportEnd,
}

impl Export {
    async fn new(app: &App, filter: AuditFilter) -> Result<Self, DbErr> {
        Ok(Self {
            app: app.clone(),
            filter,
            end: ExportEnd::now(app).await?,
        })
    }

    async fn lines(&self, after: i64) -> Result<Vec<ExportLine>, DbErr> {
        read_lines(&self.app, &self.filter, &self.end, after, PAGE.into()).await
    }

    async fn rows(&self, after: i64) -> Result<Vec<audit_log::Model>, DbErr> {
        read_following(&self.app, &self.filter, &self.end, after, PAGE.into()).await
    }

    /// Checkpoints are about all entries, so they say nothing of some.
    async fn checkpoints(&self, after: i64) -> Result<Vec<ExportLine>, DbErr> {
        if self.filter != AuditFilter::default() {
            return Ok(Vec::new());
        }
        read_checkpoint_lines(&self.app, &self.end, after, PAGE.into()).await
    }
}

/// What is written next.
enum Next {
    Entries(Vec<ExportLine>),
    Checkpoints(Vec<ExportLine>),
}

/// The answer begins when the first page is read, so that a database that is away is told as everywhere.
pub(super) async fn export_lines(app: &App, filter: AuditFilter) -> Result<ExportedLines, ApiError> {
    let begun = begin_lines(app, filter).await;
    let begun = begun.map_err(|error| failure::database(app, error))?;
    let body = Body::from_bytes_stream(stream::try_unfold(begun, write_lines));
    Ok(ExportedLines::Lines(Binary(body), LINES.to_owned()))
}

async fn begin_lines(app: &App, filter: AuditFilter) -> Result<(Export, Next), DbErr> {
    let export = Export::new(app, filter).await?;
    let first = export.lines(i64::MIN).await?;
    Ok((export, Next::Entries(first)))
}

/// Writes a page and reads the next one. After an error the connection ends before the answer does, so that nobody takes it for the whole.
async fn write_lines((export, next): (Export, Next)) -> io::Result<Option<(Bytes, (Export, Next))>> {
    let (page, following) = match next {
        Next::Entries(page) => {
            let following = match page.last() {
                Some(last) => Next::Entries(export.lines(last.id).await.map_err(cut_short)?),
                None => Next::Checkpoints(export.checkpoints(0).await.map_err(cut_short)?),
            };
            (page, following)
        }
        Next::Checkpoints(page) => {
            let Some(last) = page.last() else {
                return Ok(None);
            };
            let following = export.checkpoints(last.id).await.map_err(cut_short)?;
            (page, Next::Checkpoints(following))
        }
    };
    let mut text = String::new();
    for ExportLine { line, .. } in &page {
        text.push_str(line);
        text.push('\n');
    }
    Ok(Some((text.into(), (export, following))))
}

/// The same as CSV.
pub(super) async fn export_csv(app: &App, filter: AuditFilter) -> Result<ExportedCsv, ApiError> {
    let begun = begin_rows(app, filter).await;
    let begun = begun.map_err(|error| failure::database(app, error))?;
    let header: io::Result<Bytes> = Ok(Bytes::from_static(HEADER.as_bytes()));
    let header = stream::once(future::ready(header));
    let body = Body::from_bytes_stream(header.chain(stream::try_unfold(begun, write_rows)));
    Ok(ExportedCsv::Csv(Binary(body), CSV.to_owned()))
}

async fn begin_rows(app: &App, filter: AuditFilter) -> Result<(Export, Vec<audit_log::Model>), DbErr> {
    let export = Export::new(app, filter).await?;
    let first = export.rows(i64::MIN).await?;
    Ok((export, first))
}

async fn write_rows(
    (export, page): (Export, Vec<audit_log::Model>),
) -> io::Result<Option<(Bytes, (Export, Vec<audit_log::Model>))>> {
    let Some(last) = page.last() else {
        return Ok(None);
    };
    let text = rows_of(&page)?;
    let following = export.rows(last.id).await.map_err(cut_short)?;
    Ok(Some((text.into(), (export, following))))
}

fn cut_short(error: DbErr) -> io::Error {
    if let Some(times) = CUT_SHORT.admit() {
        tracing::warn!(error = %chain(&error), times, "An export of the audit trail was cut short");
    }
    io::Error::other(error)
}
