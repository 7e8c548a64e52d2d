//! What is left to do of which nobody told this replica: by another one, by a try that failed, or because time passed.

use chrono::Utc;
use sea_orm::{ConnectionTrait, DbErr, FromQueryResult, Statement};

use crate::config::HealthConfig;

/// For which tasks there is something to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromQueryResult)]
pub struct Due {
    /// Placements whose wanted revision is not in the stream and that nobody has leased.
    pub publications: bool,
    /// Commands that end access and are not applied.
    pub urgent: bool,
    /// Changes of nodes' totals that are not summed.
    pub totals: bool,
    /// Nodes that should be asked for a handshake.
    pub handshakes: bool,
    /// Nodes that were lost and do not take users yet.
    pub lost: bool,
    /// Nodes that were silent for too long and are not called lost.
    pub silent: bool,
    /// The database was restored, and nobody has decided yet what holds.
    pub undecided: bool,
}

/// Asks for everything in one statement, whose cost does not depend on the number of users.
pub async fn read_due(db: &impl ConnectionTrait, limits: HealthConfig) -> Result<Due, DbErr> {
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        "SELECT EXISTS (SELECT FROM placements WHERE published_revision < wanted_revision AND lease_until < now()) AS publications,
                EXISTS (SELECT FROM placements WHERE urgent_since IS NOT NULL) AS urgent,
                EXISTS (SELECT FROM node_total_changes) AS totals,
                EXISTS (SELECT FROM restorations WHERE decided_at IS NULL) AS undecided,
                nodes.*
         FROM (SELECT COALESCE(bool_or(prompt_since IS NOT NULL), false) AS handshakes,
                      COALESCE(bool_or(lost_since IS NOT NULL), false) AS lost,
                      COALESCE(bool_or(last_seen < $1 AND state <> 'lost' AND (leaving_since IS NULL OR leaving_for IS NOT NULL)),
                               false) AS silent
               FROM servers) AS nodes",
        [(Utc::now() - limits.stale_after).into()],
    );
    let due = Due::find_by_statement(statement).one(db).await?;
    Ok(due.unwrap_or_default())
}
