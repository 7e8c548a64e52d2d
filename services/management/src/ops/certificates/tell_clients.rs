//! Tells in the audit trail that certificates of users end soon: one entry for each number of days before, and at most one a day, however many they
//! are.

use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::{
    ConnectionTrait as _, DatabaseConnection, DatabaseTransaction, DbErr, FromQueryResult, Statement, Value,
};
use serde_json::json;
use vpnmanager_nats::username::Username;

use crate::{
    domain::{
        actor::Actor,
        audit_action::AuditAction,
        certificates::{
            ends::{Band, bands},
            kind::CertificateKind,
        },
        shown_time::shown_time,
    },
    ops::{
        audit::{self, Entry},
        database_now::database_now,
        transact::transact,
    },
};

/// The users that an entry names: those whose certificates end first.
const NAMED: i64 = 5;

/// Tells of those that come within 30, 14, 7 and 1 days of their end before the next look, where that was not told today. `recorder` is this
/// replica. Replicas may do this at once: one of them tells.
pub async fn tell_client_ends(db: &DatabaseConnection, recorder: &str) -> Result<(), DbErr> {
    let now = database_now(db).await?;
    for band in bands(now) {
        transact(db, |tx| async move {
            tell_band(&tx, band, now.date_naive(), recorder).await
        })
        .await?;
    }
    Ok(())
}

async fn tell_band(
    transaction: &DatabaseTransaction,
    band: Band,
    today: NaiveDate,
    recorder: &str,
) -> Result<(), DbErr> {
    let Some(told) = claim(transaction, band, today).await? else {
        return Ok(());
    };
    let after = told.told_from.max(band.after);
    let found = count(transaction, after, band.upto).await?;
    let Some(first_end) = found.first_end else {
        return Ok(());
    };
    let users: Vec<String> = first(transaction, after, band.upto)
        .await?
        .into_iter()
        .map(|row| row.username.to_string())
        .collect();
    let days = band.days;
    let entry = Entry::new(&Actor::system(), AuditAction::CertificatesNearEnd, recorder)
        .details(format!(
            "{} certificates of devices end within {days} days from tomorrow on, the first at {}, of {}: {}",
            found.number,
            shown_time(first_end),
            users.join(", "),
            CertificateKind::Client.advice()
        ))
        .after(json!({
            "days": days,
            "certificates": found.number,
            "first_not_after": first_end,
            "usernames": users,
        }));
    audit::record_one(transaction, entry).await
}

#[derive(FromQueryResult)]
struct Told {
    told_from: DateTime<Utc>,
}

/// Up to which end it was told before; `None` where it was told today. Who comes second waits for the first.
async fn claim(transaction: &DatabaseTransaction, band: Band, today: NaiveDate) -> Result<Option<Told>, DbErr> {
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "INSERT INTO certificate_notices AS n (days, told_on, told_from, told_upto) VALUES ($1, $2, 'epoch', $3)
         ON CONFLICT (days) DO UPDATE SET told_on = EXCLUDED.told_on, told_from = n.told_upto, told_upto = EXCLUDED.told_upto
         WHERE n.told_on < EXCLUDED.told_on
         RETURNING told_from",
        [Value::from(band.days), today.into(), band.upto.into()],
    );
    Told::find_by_statement(statement).one(transaction).await
}

#[derive(FromQueryResult)]
struct Number {
    number: i64,
    first_end: Option<DateTime<Utc>>,
}

async fn count(transaction: &DatabaseTransaction, after: DateTime<Utc>, upto: DateTime<Utc>) -> Result<Number, DbErr> {
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "SELECT count(*) AS number, min(not_after) AS first_end FROM credentials
         WHERE revoked_at IS NULL AND not_after > $1 AND not_after <= $2",
        [Value::from(after), upto.into()],
    );
    let number = Number::find_by_statement(statement).one(transaction).await?;
    number.ok_or_else(|| DbErr::RecordNotFound("the number of certificates".to_owned()))
}

#[derive(FromQueryResult)]
struct Named {
    username: Username,
}

async fn first(
    transaction: &DatabaseTransaction,
    after: DateTime<Utc>,
    upto: DateTime<Utc>,
) -> Result<Vec<Named>, DbErr> {
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "SELECT u.username FROM credentials c JOIN users u ON u.id = c.user_id
         WHERE c.revoked_at IS NULL AND c.not_after > $1 AND c.not_after <= $2 ORDER BY c.not_after, c.id LIMIT $3",
        [Value::from(after), upto.into(), NAMED.into()],
    );
    Named::find_by_statement(statement).all(transaction).await
}
