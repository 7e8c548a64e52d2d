//! Which places of the chains are in a partition.

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, FromQueryResult, Statement};

use crate::domain::audit_chain::Stretch;

#[derive(FromQueryResult)]
struct Row {
    chain: i16,
    first: i64,
    last: i64,
    previous_hash: String,
    hash: String,
}

/// The places in the chains of the entries of a partition. A month begins and ends with several: an entry has the time at which its transaction
/// began. `partition` is a name as SQL writes it.
pub(in crate::ops) async fn stretches_of(
    transaction: &DatabaseTransaction,
    partition: &str,
) -> Result<Vec<Stretch>, DbErr> {
    let sql = format!(
        "WITH placed AS (
             SELECT chain, chain_seq, chain_seq - row_number() OVER (PARTITION BY chain ORDER BY chain_seq) AS stretch
             FROM {partition} WHERE chain IS NOT NULL),
         stretches AS (
             SELECT chain, min(chain_seq) AS first, max(chain_seq) AS last FROM placed GROUP BY chain, stretch)
         SELECT s.chain, s.first, s.last, encode(f.previous_hash, 'hex') AS previous_hash, encode(l.hash, 'hex') AS hash
         FROM stretches s
         JOIN {partition} f ON f.chain = s.chain AND f.chain_seq = s.first
         JOIN {partition} l ON l.chain = s.chain AND l.chain_seq = s.last
         ORDER BY s.chain, s.first"
    );
    let statement = Statement::from_string(transaction.get_database_backend(), sql);
    let rows = Row::find_by_statement(statement).all(transaction).await?;
    let stretches = rows.into_iter().map(|row| Stretch {
        chain: row.chain,
        first: row.first,
        last: row.last,
        previous_hash: row.previous_hash,
        hash: row.hash,
    });
    Ok(stretches.collect())
}
