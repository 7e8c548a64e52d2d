//! Reads the trail of a database to verify it.

use sea_orm::{
    AccessMode, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, FromQueryResult, IsolationLevel,
    Statement, TransactionTrait,
};

use crate::domain::audit_chain::{Head, SignedCheckpoint, Trail};

/// Rows that are read at once.
const BATCH: i64 = 5000;

/// Takes all that is in the database, as it is at one moment.
pub async fn read_database(db: &DatabaseConnection, trail: &mut Trail) -> Result<(), DbErr> {
    let transaction = one_state(db).await?;
    let Chains { heads, unchained_up_to } = read_chains(&transaction).await?;
    trail.take_heads(heads, unchained_up_to);
    read_checkpoints(&transaction, trail).await?;
    let mut after = i64::MIN;
    loop {
        let sql = "SELECT a.id, row_to_json(a)::text AS line FROM audit_log a WHERE a.id > $1 ORDER BY a.id LIMIT $2";
        let lines = lines(&transaction, sql, [after.into(), BATCH.into()]).await?;
        let Some(last) = lines.last().map(|line| line.id) else {
            break;
        };
        after = last;
        take(trail, &lines);
    }
    transaction.commit().await
}

/// A transaction that sees one state, and changes nothing.
pub(super) async fn one_state(db: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    db.begin_with_config(Some(IsolationLevel::RepeatableRead), Some(AccessMode::ReadOnly))
        .await
}

/// An entry as JSON.
#[derive(Debug, FromQueryResult)]
pub(super) struct Line {
    pub(super) id: i64,
    pub(super) line: String,
}

pub(super) async fn lines(
    transaction: &DatabaseTransaction,
    sql: &str,
    values: impl IntoIterator<Item = sea_orm::Value>,
) -> Result<Vec<Line>, DbErr> {
    let statement = Statement::from_sql_and_values(transaction.get_database_backend(), sql, values);
    Line::find_by_statement(statement).all(transaction).await
}

pub(super) fn take(trail: &mut Trail, lines: &[Line]) {
    for Line { id, line } in lines {
        trail.take_line(line, || format!("entry {id}"));
    }
}

/// What the database says of its chains.
#[derive(Debug)]
pub(super) struct Chains {
    pub(super) heads: Vec<Head>,
    pub(super) unchained_up_to: i64,
}

#[derive(FromQueryResult)]
struct ChainRow {
    chain: i16,
    seq: i64,
    hash: String,
    begun_after: i64,
}

pub(super) async fn read_chains(db: &impl ConnectionTrait) -> Result<Chains, DbErr> {
    let statement = Statement::from_string(
        db.get_database_backend(),
        "SELECT chain, seq, encode(hash, 'hex') AS hash, begun_after FROM audit_chains ORDER BY chain",
    );
    let rows = ChainRow::find_by_statement(statement).all(db).await?;
    let unchained_up_to = rows.iter().map(|row| row.begun_after).max().unwrap_or_default();
    let begun = rows.into_iter().filter(|row| row.seq > 0);
    let heads = begun.map(|ChainRow { chain, seq, hash, .. }| Head { chain, seq, hash });
    Ok(Chains {
        heads: heads.collect(),
        unchained_up_to,
    })
}

#[derive(FromQueryResult)]
struct CheckpointRow {
    number: i64,
    statement: String,
    signature: String,
}

async fn read_checkpoints(transaction: &DatabaseTransaction, trail: &mut Trail) -> Result<(), DbErr> {
    let mut after = i64::MIN;
    loop {
        let page = "SELECT number, statement, encode(signature, 'hex') AS signature FROM audit_checkpoints
                    WHERE number > $1 ORDER BY number LIMIT $2";
        let page = checkpoints(transaction, page, [after.into(), BATCH.into()]).await?;
        let Some(last) = page.last().map(|row| row.number) else {
            return Ok(());
        };
        after = last;
        page.into_iter().for_each(|row| trail.take_checkpoint(row));
    }
}

pub(super) async fn checkpoints(
    transaction: &DatabaseTransaction,
    sql: &str,
    values: impl IntoIterator<Item = sea_orm::Value>,
) -> Result<Vec<SignedCheckpoint>, DbErr> {
    let statement = Statement::from_sql_and_values(transaction.get_database_backend(), sql, values);
    let rows = CheckpointRow::find_by_statement(statement).all(transaction).await?;
    let rows = rows.into_iter().map(|row| SignedCheckpoint {
        number: row.number,
        statement: row.statement,
        signature: row.signature,
    });
    Ok(rows.collect())
}
