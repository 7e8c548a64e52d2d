//! Verifies the newest entries, for who asks a running management.

use sea_orm::{DatabaseTransaction, DbErr};
use tokio::task::spawn_blocking;

use super::read_database::{Chains, checkpoints, lines, one_state, read_chains, take};
use crate::{
    app::App,
    domain::audit_chain::{Begins, NoSigner, Report, Signers, Trail},
    ops::count::count,
};

/// Rows that are read at once.
const BATCH: u64 = 5000;
/// A day and an hour of checkpoints.
const CHECKPOINTS: i64 = 1500;
/// Gaps that are looked for beyond the newest entries: whoever waited for a chain has a lower id than whoever had it before.
const GAPS: usize = 20;
const ROWS_OF_A_GAP: i64 = 1000;

/// Why nothing was verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The database did not answer.
    #[error("the database did not answer")]
    Database(#[from] DbErr),
    /// The certificates of this management's authorities cannot be read.
    #[error("the fleet's certificate authority cannot be read")]
    Signers(#[from] NoSigner),
    /// Management is stopping.
    #[error("verifying was interrupted")]
    Interrupted,
}

/// Verifies the newest entries, so many, with the checkpoints of the last day.
pub async fn verify_last(app: &App, entries: u64) -> Result<Report, VerifyError> {
    let signers = Signers::of_pem(&app.pki.ever_trusted())?;
    let transaction = one_state(&app.db).await?;
    let mut trail = Trail::default();
    let Chains { heads, unchained_up_to } = read_chains(&transaction).await?;
    trail.take_heads(heads, unchained_up_to);
    let newest = "SELECT number, statement, encode(signature, 'hex') AS signature FROM audit_checkpoints ORDER BY number DESC LIMIT $1";
    for row in checkpoints(&transaction, newest, [CHECKPOINTS.into()]).await? {
        trail.take_checkpoint(row);
    }
    read_newest(&transaction, entries, &mut trail).await?;
    for (chain, first, last) in trail.missing(GAPS) {
        let sql = "SELECT a.id, row_to_json(a)::text AS line FROM audit_log a
                   WHERE a.chain = $1 AND a.chain_seq BETWEEN $2 AND $3 ORDER BY a.chain_seq LIMIT $4";
        let values = [chain.into(), first.into(), last.into(), ROWS_OF_A_GAP.into()];
        take(&mut trail, &lines(&transaction, sql, values).await?);
    }
    transaction.commit().await?;
    // A day of signatures takes a tenth of a second.
    spawn_blocking(move || trail.verify(&signers, Begins::Anywhere, None))
        .await
        .map_err(|_stopping| VerifyError::Interrupted)
}

async fn read_newest(transaction: &DatabaseTransaction, entries: u64, trail: &mut Trail) -> Result<(), DbErr> {
    let (mut before, mut left) = (i64::MAX, entries);
    while left > 0 {
        let sql =
            "SELECT a.id, row_to_json(a)::text AS line FROM audit_log a WHERE a.id < $1 ORDER BY a.id DESC LIMIT $2";
        let batch = left.min(BATCH);
        let lines = lines(transaction, sql, [before.into(), count(batch).into()]).await?;
        let Some(last) = lines.last().map(|line| line.id) else {
            break;
        };
        before = last;
        left -= batch;
        take(trail, &lines);
    }
    Ok(())
}
