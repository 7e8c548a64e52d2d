//! Writes rows of certificates of old servers, many with one statement.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, Statement};
use vpnmanager_nats::{ids::NodeId, old_certificates::SerialNumber};

use crate::domain::import::certificates::NewCertificate;

/// What rows are made of, a column each. Serial numbers that are revoked are one text: an array has no arrays of other lengths.
#[derive(Default)]
struct Columns {
    ids: Vec<i64>,
    common_names: Vec<String>,
    serials: Vec<String>,
    ends: Vec<DateTime<Utc>>,
    revoked: Vec<String>,
    /// Until when they are accepted. The arrays hold no NULL: the beginning of 1970 stands for it.
    expire: Vec<DateTime<Utc>>,
}

impl Columns {
    fn of(rows: &[(i64, &NewCertificate)]) -> Self {
        let mut columns = Self::default();
        for (id, certificate) in rows {
            let revoked: Vec<&str> = certificate.revoked.iter().map(SerialNumber::as_str).collect();
            columns.ids.push(*id);
            columns.common_names.push(certificate.common_name.to_string());
            columns.serials.push(certificate.serial.to_string());
            columns.ends.push(certificate.not_after);
            columns.revoked.push(revoked.join(","));
            columns
                .expire
                .push(certificate.expires_at.unwrap_or(DateTime::UNIX_EPOCH));
        }
        columns
    }
}

/// Inserts certificates that this node accepts, each with the id of its user's row.
pub(super) async fn insert(
    transaction: &DatabaseTransaction,
    node: &NodeId,
    rows: &[(i64, &NewCertificate)],
) -> Result<(), DbErr> {
    if rows.is_empty() {
        return Ok(());
    }
    let columns = Columns::of(rows);
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "INSERT INTO old_certificates (user_id, server_id, common_name, serial, not_after, revoked_serials, expires_at)
         SELECT t.user_id, $6, t.common_name, t.serial, t.not_after, string_to_array(t.revoked, ','), NULLIF(t.expires_at, 'epoch')
         FROM UNNEST($1::bigint[], $2::text[], $3::text[], $4::timestamptz[], $5::text[], $7::timestamptz[])
                  AS t (user_id, common_name, serial, not_after, revoked, expires_at)",
        [
            columns.ids.into(),
            columns.common_names.into(),
            columns.serials.into(),
            columns.ends.into(),
            columns.revoked.into(),
            node.to_string().into(),
            columns.expire.into(),
        ],
    );
    transaction.execute_raw(statement).await.map(drop)
}

/// Says of rows, by their ids, what the source says now.
pub(super) async fn change(transaction: &DatabaseTransaction, rows: &[(i64, &NewCertificate)]) -> Result<(), DbErr> {
    if rows.is_empty() {
        return Ok(());
    }
    let columns = Columns::of(rows);
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "UPDATE old_certificates o
         SET serial = t.serial, not_after = t.not_after, revoked_serials = string_to_array(t.revoked, ',')
         FROM UNNEST($1::bigint[], $2::text[], $3::timestamptz[], $4::text[]) AS t (id, serial, not_after, revoked)
         WHERE o.id = t.id",
        [
            columns.ids.into(),
            columns.serials.into(),
            columns.ends.into(),
            columns.revoked.into(),
        ],
    );
    transaction.execute_raw(statement).await.map(drop)
}

/// Revokes rows, by their ids.
pub(super) async fn revoke(transaction: &DatabaseTransaction, rows: Vec<i64>) -> Result<(), DbErr> {
    if rows.is_empty() {
        return Ok(());
    }
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "UPDATE old_certificates SET revoked_at = now() WHERE id = ANY($1) AND revoked_at IS NULL",
        [rows.into()],
    );
    transaction.execute_raw(statement).await.map(drop)
}
