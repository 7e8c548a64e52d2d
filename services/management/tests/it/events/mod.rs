//! `/api/events`: what is told, in which order, and to whom.

mod ended;
mod order;
pub(crate) mod reader;
mod told;

use sea_orm::DatabaseConnection;

use crate::database::run;

/// Records an entry as somebody else would.
async fn record(db: &DatabaseConnection, action: &str, username: &str) {
    run(db, &insert(action, username)).await;
}

fn insert(action: &str, username: &str) -> String {
    format!(
        "INSERT INTO audit_log (action, username, server_id, actor) VALUES ('{action}', '{username}', 'node-1', 'system')"
    )
}
