//! The audit trail as tables: months, what nobody may change, room for nodes, archives.

mod archive;
mod chain;
mod housekeeping;
mod migration;
mod months;
mod pages;
mod roles;
mod room;

use sea_orm::{DatabaseConnection, FromQueryResult, Statement};

use crate::database::{number, run, until};

#[derive(FromQueryResult)]
struct Text {
    text: String,
}

pub(crate) async fn text(db: &DatabaseConnection, sql: &str) -> String {
    let statement = Statement::from_string(db.get_database_backend(), format!("SELECT ({sql})::text AS text"));
    let found = Text::find_by_statement(statement).one(db).await;
    found
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
        .expect("a text")
        .text
}

/// Adds an entry of that time. Only the owner of the trail can.
pub(crate) async fn entry_at(db: &DatabaseConnection, at: &str, action: &str) {
    let sql = format!(
        "INSERT INTO audit_log (timestamp, action, server_id, actor, details, after)
         VALUES ({at}, '{action}', 'node-1', 'system', E'two\\nlines \"and\" more', '{{\"a\": [1, null]}}')"
    );
    run(db, &sql).await;
}

/// All entries, as text, so that nothing in them can change unseen.
async fn entries(db: &DatabaseConnection) -> String {
    text(db, "SELECT string_agg(a::text, '|' ORDER BY id) FROM audit_log a").await
}
