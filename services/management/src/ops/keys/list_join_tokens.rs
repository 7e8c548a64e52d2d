//! Lists the tokens that nodes enrol with.

use chrono::{DateTime, Utc};
use sea_orm::{DatabaseConnection, DbErr, FromQueryResult, Statement};
use vpnmanager_entities::join_token::TokenState;
use vpnmanager_nats::ids::NodeId;

use crate::ops::count::count;

/// A token as people may see it: its hash is not read.
#[derive(Debug, Clone, FromQueryResult)]
pub struct JoinTokenView {
    /// Row id.
    pub id: i64,
    /// The only node that may use it; `None`: any new node.
    pub server_id: Option<NodeId>,
    /// Who created it.
    pub created_by: String,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it stops being valid, or was revoked.
    pub expires_at: DateTime<Utc>,
    /// When it was used.
    pub used_at: Option<DateTime<Utc>>,
    /// The node that enrolled with it.
    pub used_by: Option<NodeId>,
    /// What it can still do, by the clock of the database.
    pub state: TokenState,
}

/// The state is told here, so that the list can be filtered by it.
const PAGE: &str = "
    SELECT id, server_id, created_by, created_at, expires_at, used_at, used_by, state
    FROM (SELECT id, server_id, created_by, created_at, expires_at, used_at, used_by,
                 CASE WHEN used_at IS NOT NULL THEN 'used' WHEN expires_at > now() THEN 'open' ELSE 'expired' END AS state
          FROM join_tokens) told
    WHERE ($1::bigint IS NULL OR id < $1) AND ($2::text IS NULL OR state = $2)
    ORDER BY id DESC LIMIT $3";

/// Reads at most `limit` tokens, newest first, starting below the row with the id `before`; only those of that state, if one is given.
pub async fn list_join_tokens(
    db: &DatabaseConnection,
    state: Option<TokenState>,
    before: Option<i64>,
    limit: u64,
) -> Result<Vec<JoinTokenView>, DbErr> {
    let state = state.map(|state| state.as_str().to_owned());
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        PAGE,
        [before.into(), state.into(), count(limit).into()],
    );
    JoinTokenView::find_by_statement(statement).all(db).await
}
