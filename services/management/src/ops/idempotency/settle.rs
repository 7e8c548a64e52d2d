//! What becomes of a claim.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, Statement, Value};
use vpnmanager_openapi::idempotency::{Claim, Kept};

use super::times::LEASE;

/// This claim, and none that took its place.
const OF_CLAIM: &str = "WHERE caller = $1 AND key_hash = $2 AND claim = $3 AND answered_at IS NULL";

/// Says that the request is still being worked on.
pub async fn renew(db: &DatabaseConnection, claim: &Claim) -> Result<(), DbErr> {
    let sql = format!("UPDATE idempotency_keys SET lease_until = now() + make_interval(secs => $4) {OF_CLAIM}");
    execute(db, sql, claim, Some(LEASE.as_secs_f64().into())).await
}

/// Keeps the answer, or forgets the request.
pub async fn settle(db: &DatabaseConnection, claim: &Claim, kept: &Kept) -> Result<(), DbErr> {
    let answer = match kept {
        Kept::Answer(answer) => Some(answer.clone()),
        Kept::TooLarge => None,
        Kept::Nothing => return execute(db, format!("DELETE FROM idempotency_keys {OF_CLAIM}"), claim, None).await,
    };
    let sql = format!("UPDATE idempotency_keys SET answered_at = now(), answer = $4 {OF_CLAIM}");
    execute(db, sql, claim, Some(answer.into())).await
}

async fn execute(db: &DatabaseConnection, sql: String, claim: &Claim, fourth: Option<Value>) -> Result<(), DbErr> {
    let request = &claim.request;
    let of_claim: [Value; 3] = [
        request.caller.as_str().into(),
        request.key_hash.to_vec().into(),
        claim.id.into(),
    ];
    let values = of_claim.into_iter().chain(fourth);
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    db.execute_raw(statement).await.map(drop)
}
