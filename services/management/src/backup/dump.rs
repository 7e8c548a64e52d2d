//! Reads the rows of a database in one state, and hands them on as they come.

use futures_util::TryStreamExt as _;
use sea_orm::sqlx::{self, Postgres, Transaction};

use super::{
    catalog::{Table, identifier},
    manifest::part_of_table,
    pack::{PRIVATE, Packing},
};

/// The bytes of one piece: so much of a table is in memory at a time.
const PIECE: usize = 4 << 20;

/// The first statement of a transaction that sees one state of all tables, and changes nothing.
pub(super) const ONE_STATE: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// It takes as long as it takes, whatever the role or the server says of statements.
pub(super) const UNLIMITED: &str = "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0";

/// Adds all rows of a table to the backup. Its first piece is there also when it has no row.
pub(super) async fn dump(
    transaction: &mut Transaction<'_, Postgres>,
    table: &Table,
    packing: &Packing,
) -> Result<(), sqlx::Error> {
    // Of a table with partitions COPY takes a query only.
    let columns = table.columns_sql();
    let statement = format!("COPY (SELECT {columns} FROM {}) TO STDOUT", identifier(&table.name));
    let mut rows = transaction.copy_out_raw(&statement).await?;
    let mut pieces = 0_u32;
    let mut piece = Vec::with_capacity(PIECE);
    while let Some(bytes) = rows.try_next().await? {
        piece.extend_from_slice(&bytes);
        // A row may be larger than a piece, and goes on in the next one.
        while piece.len() >= PIECE {
            // Nobody writes what is read from here on.
            if packing.has_failed() {
                return Ok(());
            }
            pieces += 1;
            let rest = piece.split_off(PIECE);
            let full = std::mem::replace(&mut piece, rest);
            packing.add(entry_name(table, pieces), PRIVATE, full).await;
        }
    }
    if pieces == 0 || !piece.is_empty() {
        packing.add(entry_name(table, pieces + 1), PRIVATE, piece).await;
    }
    Ok(())
}

fn entry_name(table: &Table, piece: u32) -> String {
    format!("{}/{piece:06}", part_of_table(&table.name))
}
