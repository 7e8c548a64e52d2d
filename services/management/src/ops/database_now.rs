//! The time, by the clock of the database.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbErr, FromQueryResult, Statement};

#[derive(FromQueryResult)]
struct Told {
    now: DateTime<Utc>,
}

/// The time, by the clock of the database, which goes on within a transaction.
pub(crate) async fn database_now(db: &impl ConnectionTrait) -> Result<DateTime<Utc>, DbErr> {
    let statement = Statement::from_string(db.get_database_backend(), "SELECT clock_timestamp() AS now");
    let told = Told::find_by_statement(statement).one(db).await?;
    told.map(|told| told.now)
        .ok_or_else(|| DbErr::RecordNotFound("the time".to_owned()))
}
