//! Signs the last entries of the chains, once a minute in which there were entries, whichever replica does it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, FromQueryResult, Statement as Sql, TransactionTrait};

use super::read_database::{Chains, read_chains};
use crate::{
    app::App,
    domain::{
        actor::Actor,
        audit_action::AuditAction,
        audit_chain::{Head, Statement, previous_of},
    },
    ops::{
        audit::{self, Entry},
        transact::transact,
    },
    pki::PkiError,
};

/// Any constant that nothing else in this database locks; the letters of "chkp".
const CHECKPOINT_LOCK: i64 = 0x6368_6b70;
/// Seconds from one to the next, less than the minute after which each replica looks: so the one that signed last goes on with it.
const APART: f64 = 55.0;

/// What this replica signed last. It is not in the database, so nobody who owns that can change it.
#[derive(Debug)]
pub struct Signed {
    number: i64,
    /// SHA-256 of the statement.
    hash: String,
    /// The place and the hash of each chain's last entry.
    heads: BTreeMap<i16, (i64, String)>,
}

/// Why nothing was signed. The next minute tries again.
#[derive(Debug, thiserror::Error)]
pub enum SignCheckpointError {
    /// The database did not answer.
    #[error("the database did not answer")]
    Database(#[from] DbErr),
    /// The key could not sign.
    #[error("the checkpoint could not be signed")]
    Sign(#[from] PkiError),
    /// The statement could not be written as JSON.
    #[error("the checkpoint could not be written")]
    Write(#[from] serde_json::Error),
}

#[derive(FromQueryResult)]
struct Locked {
    is_locked: bool,
    now: DateTime<Utc>,
}

#[derive(FromQueryResult)]
struct Last {
    number: i64,
    statement: String,
    age: f64,
}

/// Signs a checkpoint where there are entries that none is about, and says whether it did. `signed` is what this replica did last.
pub async fn sign_checkpoint(app: &App, signed: &mut Option<Signed>) -> Result<bool, SignCheckpointError> {
    let transaction = app.db.begin().await?;
    let Some(now) = try_lock(&transaction).await? else {
        return Ok(false);
    };
    let last = last(&transaction).await?;
    if last.as_ref().is_some_and(|last| (0.0..APART).contains(&last.age)) {
        return Ok(false);
    }
    let chains = read_chains(&transaction).await?;
    if let Some(own) = signed.as_ref()
        && !still_holds(&transaction, own, &chains).await?
    {
        let number = own.number;
        transaction.rollback().await?;
        alarm(app, number).await?;
        // Told once. What is there is signed a minute later.
        *signed = None;
        return Ok(false);
    }
    let mut statement = Statement::first(now);
    if let Some(last) = &last {
        statement.number = last.number.saturating_add(1);
        statement.previous = Some(previous_of(&last.statement));
    }
    statement.entries = chains.heads.iter().map(|head| head.seq).sum();
    statement.unchained_up_to = chains.unchained_up_to;
    let before = last.and_then(|last| serde_json::from_str::<Statement>(&last.statement).ok());
    if statement.entries == before.map_or(0, |before| before.entries) {
        return Ok(false);
    }
    // Those that went on. After another replica, or a start, all of them: what was signed before is not known here.
    let known = signed.as_ref().filter(|own| own.number + 1 == statement.number);
    let is_new =
        |head: &&Head| known.is_none_or(|own| own.heads.get(&head.chain).is_none_or(|(seq, _)| *seq != head.seq));
    statement.heads = chains.heads.iter().filter(is_new).cloned().collect();
    let text = serde_json::to_string(&statement)?;
    let signature = app.pki.sign_statement(app.pki.ca_fingerprint(), &text)?;
    let insert = Sql::from_sql_and_values(
        transaction.get_database_backend(),
        "INSERT INTO audit_checkpoints (number, at, statement, signature) VALUES ($1, $2, $3, $4)",
        [
            statement.number.into(),
            now.into(),
            text.clone().into(),
            signature.into(),
        ],
    );
    transaction.execute_raw(insert).await?;
    transaction.commit().await?;
    *signed = Some(Signed {
        number: statement.number,
        hash: previous_of(&text),
        heads: chains
            .heads
            .into_iter()
            .map(|head| (head.chain, (head.seq, head.hash)))
            .collect(),
    });
    Ok(true)
}

/// Tells everybody who listens.
async fn alarm(app: &App, checkpoint: i64) -> Result<(), DbErr> {
    tracing::error!(
        checkpoint,
        "The audit trail lacks what this management signed: somebody has rewritten it"
    );
    app.figures.work.trail_rewritten();
    transact(&app.db, |tx| async move {
        let details = format!("the trail is not what checkpoint {checkpoint} says: run `vpnmanager audit verify`");
        let entry = Entry::new(&Actor::system(), AuditAction::AuditRewritten, &app.config.server_id).details(details);
        audit::record_one(&tx, entry).await
    })
    .await
}

/// The time of the database; `None` while another replica is at it.
async fn try_lock(transaction: &DatabaseTransaction) -> Result<Option<DateTime<Utc>>, DbErr> {
    let sql = format!("SELECT pg_try_advisory_xact_lock({CHECKPOINT_LOCK}) AS is_locked, now() AS now");
    let statement = Sql::from_string(transaction.get_database_backend(), sql);
    let locked = Locked::find_by_statement(statement).one(transaction).await?;
    Ok(locked.filter(|row| row.is_locked).map(|row| row.now))
}

async fn last(transaction: &DatabaseTransaction) -> Result<Option<Last>, DbErr> {
    let statement = Sql::from_string(
        transaction.get_database_backend(),
        "SELECT number, statement, extract(epoch FROM now() - at)::float8 AS age FROM audit_checkpoints ORDER BY number DESC LIMIT 1",
    );
    Last::find_by_statement(statement).one(transaction).await
}

#[derive(FromQueryResult)]
struct Kept {
    statement: String,
}

/// Whether the database still has what this replica signed, and the chains still reach as far. That is only a look at the ends: verifying finds
/// whatever was done between them.
async fn still_holds(transaction: &DatabaseTransaction, own: &Signed, chains: &Chains) -> Result<bool, DbErr> {
    let statement = Sql::from_sql_and_values(
        transaction.get_database_backend(),
        "SELECT statement FROM audit_checkpoints WHERE number = $1",
        [own.number.into()],
    );
    let kept = Kept::find_by_statement(statement).one(transaction).await?;
    let is_kept = kept.is_some_and(|kept| previous_of(&kept.statement) == own.hash);
    let reaches = own.heads.iter().all(|(chain, (seq, hash))| {
        let mut now = chains.heads.iter().filter(|head| head.chain == *chain);
        now.any(|head| head.seq > *seq || (head.seq == *seq && head.hash == *hash))
    });
    Ok(is_kept && reaches)
}
