//! Claims a request, or finds what became of it.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, FromQueryResult, Statement, Value};
use vpnmanager_openapi::idempotency::{Claim, Claimed, KeyedRequest};

use super::times::{KNOWN_FOR, LEASE};

/// A row that is there for the insert and gone for the look was released in between: it is tried again.
const TRIES: u32 = 5;

/// A row that is older than a day counts as none.
const INSERT: &str = "
    INSERT INTO idempotency_keys AS k (caller, key_hash, fingerprint, claim, claimed_by, lease_until)
    VALUES ($1, $2, $3, $4, $5, now() + make_interval(secs => $6))
    ON CONFLICT (caller, key_hash) DO UPDATE
        SET fingerprint = EXCLUDED.fingerprint, claim = EXCLUDED.claim, claimed_by = EXCLUDED.claimed_by,
            lease_until = EXCLUDED.lease_until, created_at = now(), answered_at = NULL, answer = NULL
        WHERE k.created_at < now() - make_interval(secs => $7)";

const LOOK: &str = "
    SELECT fingerprint, answered_at IS NOT NULL AS is_answered, lease_until > now() AS is_under_way, answer
    FROM idempotency_keys WHERE caller = $1 AND key_hash = $2 AND created_at >= now() - make_interval(secs => $3)";

#[derive(FromQueryResult)]
struct Found {
    fingerprint: Vec<u8>,
    is_answered: bool,
    is_under_way: bool,
    answer: Option<Vec<u8>>,
}

/// Claims the request for this replica if nobody has sent it within a day; of all replicas that are sent it at once, one gets it. Otherwise says
/// what is known of it.
pub async fn claim(db: &DatabaseConnection, replica: &str, request: KeyedRequest) -> Result<Claimed, DbErr> {
    let id = fastrand::i64(..);
    for _ in 0..TRIES {
        if insert(db, replica, &request, id).await? {
            return Ok(Claimed::New(Claim { request, id }));
        }
        if let Some(known) = look(db, &request).await? {
            return Ok(known);
        }
    }
    Ok(Claimed::UnderWay)
}

impl Found {
    fn of(self, request: &KeyedRequest) -> Claimed {
        if self.fingerprint != request.fingerprint {
            Claimed::Another
        } else if self.is_answered {
            Claimed::Answered(self.answer)
        } else if self.is_under_way {
            Claimed::UnderWay
        } else {
            Claimed::Unknown
        }
    }
}

async fn insert(db: &DatabaseConnection, replica: &str, request: &KeyedRequest, id: i64) -> Result<bool, DbErr> {
    let values: [Value; 7] = [
        request.caller.as_str().into(),
        request.key_hash.to_vec().into(),
        request.fingerprint.to_vec().into(),
        id.into(),
        replica.into(),
        LEASE.as_secs_f64().into(),
        KNOWN_FOR.as_secs_f64().into(),
    ];
    let statement = Statement::from_sql_and_values(db.get_database_backend(), INSERT, values);
    Ok(db.execute_raw(statement).await?.rows_affected() > 0)
}

/// What is known of the request, if somebody has sent it within a day.
pub async fn look(db: &DatabaseConnection, request: &KeyedRequest) -> Result<Option<Claimed>, DbErr> {
    let values: [Value; 3] = [
        request.caller.as_str().into(),
        request.key_hash.to_vec().into(),
        KNOWN_FOR.as_secs_f64().into(),
    ];
    let statement = Statement::from_sql_and_values(db.get_database_backend(), LOOK, values);
    let found = Found::find_by_statement(statement).one(db).await?;
    Ok(found.map(|found| found.of(request)))
}
