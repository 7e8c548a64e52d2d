//! Changes many rows a batch at a time, each batch in a transaction of its own: whoever wants to change one of the rows, maybe to end access,
//! must not wait for all of them.

use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbErr, Statement, Value};

use crate::ops::count::count;

/// Rows that are changed at once.
pub(in crate::ops) const BATCH: u64 = 1_000;

/// Repeats a statement that changes at most `$1` rows, and none twice, until it changes fewer; gives how many rows it changed. `$2` and the
/// following are `values`.
pub(in crate::ops) async fn change_all(
    db: &DatabaseConnection,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<u64, DbErr> {
    let values: Vec<Value> = [Value::from(count(BATCH))].into_iter().chain(values).collect();
    let mut changed = 0;
    loop {
        let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values.clone());
        let rows = db.execute_raw(statement).await?.rows_affected();
        changed += rows;
        if rows < BATCH {
            return Ok(changed);
        }
    }
}
