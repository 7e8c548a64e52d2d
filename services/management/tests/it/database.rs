//! Databases of one's own.

use std::time::Duration;

use sea_orm::{ConnectionTrait, Database, DatabaseConnection, FromQueryResult, Statement, TransactionTrait};
use vpnmanager_testbed::{postgres, wait};

/// The URL of an empty database with this release's schema.
pub(crate) async fn fresh_database() -> String {
    let cluster = postgres::shared().await.expect("PostgreSQL");
    let migrate = async |url: String| {
        let db = Database::connect(url).await?;
        vpnmanager_migration::run(&db).await?;
        db.close().await
    };
    cluster.fresh_database("management", migrate).await.expect("a database")
}

pub(crate) async fn connect(url: &str) -> DatabaseConnection {
    Database::connect(url).await.expect("connected")
}

/// A connection to an empty database with this release's schema.
pub(crate) async fn connect_fresh() -> DatabaseConnection {
    connect(&fresh_database().await).await
}

/// Executes SQL that must succeed.
pub(crate) async fn run(db: &DatabaseConnection, sql: &str) {
    db.execute_unprepared(sql)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
}

#[derive(FromQueryResult)]
struct Number {
    number: i64,
}

/// What a query counts.
pub(crate) async fn number(db: &DatabaseConnection, sql: &str) -> i64 {
    let statement = Statement::from_string(db.get_database_backend(), format!("SELECT ({sql})::bigint AS number"));
    let found = Number::find_by_statement(statement).one(db).await;
    found
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
        .expect("a number")
        .number
}

#[derive(FromQueryResult)]
struct Line {
    #[sea_orm(from_alias = "QUERY PLAN")]
    line: String,
}

/// The plan of a statement with these values, in a session like management's, for tables so large that none is read as a whole.
pub(crate) async fn plan_of(db: &DatabaseConnection, statement: Statement) -> String {
    let explain = Statement {
        sql: format!("EXPLAIN (COSTS OFF) {}", statement.sql),
        ..statement
    };
    let transaction = db.begin().await.expect("begun");
    transaction
        .execute_unprepared("SET LOCAL enable_seqscan = off; SET LOCAL plan_cache_mode = force_custom_plan")
        .await
        .expect("set");
    let lines = Line::find_by_statement(explain)
        .all(&transaction)
        .await
        .expect("a plan");
    lines.iter().map(|row| format!("{}\n", row.line)).collect()
}

/// Waits until a query gives a number other than 0.
pub(crate) async fn until(db: &DatabaseConnection, what: &str, sql: &str) {
    wait::until(Duration::from_secs(10), what, async || number(db, sql).await > 0)
        .await
        .expect(what);
}
