//! Databases of one's own.

use sea_orm::{ConnectionTrait, Database, DatabaseConnection};
use vpnmanager_testbed::postgres;

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
