//! Leaves connections to a server that takes no changes any more. After a failover behind one address, those that were made before lead to
//! the old server, or were made while the new one was a standby, and stay read-only for as long as the pool keeps them.

use sea_orm::{DatabaseConnection, DbErr, FromQueryResult, Statement};

#[derive(FromQueryResult)]
struct Session {
    is_read_only: bool,
}

/// Whether the connection that the pool gives next takes no changes. The pool gives them in turn.
pub async fn is_read_only(db: &DatabaseConnection) -> Result<bool, DbErr> {
    let statement = Statement::from_string(
        db.get_database_backend(),
        "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::bool AS is_read_only",
    );
    let session = Session::find_by_statement(statement).one(db).await?;
    Ok(session.is_some_and(|session| session.is_read_only))
}

/// Closes the connections that nobody uses at this moment; whoever needs one makes a new one.
pub fn renew(db: &DatabaseConnection) {
    let pool = db.get_postgres_connection_pool();
    for _ in 0..pool.size() {
        let Some(idle) = pool.try_acquire() else {
            return;
        };
        // Without a goodbye: a server that hangs would be waited for.
        drop(idle.detach());
    }
}
