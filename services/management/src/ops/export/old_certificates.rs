//! `old-certificates.csv`: certificates of old servers, also those that were revoked.

use std::fs::File;

use chrono::{DateTime, Utc};
use csv::{Terminator, WriterBuilder};
use sea_orm::{DatabaseConnection, DbErr, FromQueryResult, Statement};
use vpnmanager_nats::{
    ids::{CommonName, NodeId},
    old_certificates::SerialNumber,
    username::Username,
};

use super::files::{ExportError, PAGE};
use crate::{domain::shown_time::shown_time, ops::count::count};

const HEADER: [&str; 7] = [
    "username",
    "server_id",
    "common_name",
    "serial",
    "not_after",
    "expires_at",
    "revoked_at",
];

#[derive(FromQueryResult)]
struct Row {
    id: i64,
    username: Option<Username>,
    server_id: NodeId,
    common_name: CommonName,
    serial: SerialNumber,
    not_after: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
}

/// Writes them, and gives how many they are.
pub(super) async fn write(db: &DatabaseConnection, file: File, node: Option<&NodeId>) -> Result<usize, ExportError> {
    let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(file);
    writer.write_record(HEADER).map_err(std::io::Error::from)?;
    let (mut after, mut written) = (0, 0);
    loop {
        let page = page(db, node, after).await?;
        let Some(last) = page.last() else {
            writer.flush()?;
            return Ok(written);
        };
        after = last.id;
        written += page.len();
        for row in &page {
            let cells = [
                row.username.as_ref().map(ToString::to_string).unwrap_or_default(),
                row.server_id.to_string(),
                row.common_name.to_string(),
                row.serial.to_string(),
                shown_time(row.not_after),
                row.expires_at.map(shown_time).unwrap_or_default(),
                row.revoked_at.map(shown_time).unwrap_or_default(),
            ];
            writer.write_record(cells).map_err(std::io::Error::from)?;
        }
    }
}

async fn page(db: &DatabaseConnection, node: Option<&NodeId>, after: i64) -> Result<Vec<Row>, DbErr> {
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        "SELECT o.id, u.username, o.server_id, o.common_name, o.serial, o.not_after, o.expires_at, o.revoked_at
         FROM old_certificates o LEFT JOIN users u ON u.id = o.user_id
         WHERE o.id > $1 AND ($2::text IS NULL OR o.server_id = $2) ORDER BY o.id LIMIT $3",
        [after.into(), node.map(ToString::to_string).into(), count(PAGE).into()],
    );
    Row::find_by_statement(statement).all(db).await
}
