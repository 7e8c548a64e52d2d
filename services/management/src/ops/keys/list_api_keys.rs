//! Lists API keys.

use chrono::{DateTime, Utc};
use ipnetwork::IpNetwork;
use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, FromQueryResult, Statement, Value};
use vpnmanager_entities::api_key::{KeyState, Role};

use crate::ops::count::count;

/// A key as people may see it: its hash is not read.
#[derive(Debug, Clone, FromQueryResult)]
pub struct ApiKeyView {
    /// Row id.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// Whose it is.
    pub owner: Option<String>,
    /// The first characters of the key.
    pub prefix: Option<String>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// Who created it.
    pub created_by: String,
    /// When it stops being valid.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was last used.
    pub last_used_at: Option<DateTime<Utc>>,
    /// From where it was last used.
    pub last_used_address: Option<IpNetwork>,
    /// When it was last rotated.
    pub rotated_at: Option<DateTime<Utc>>,
    /// Until when the key of before is accepted; `None` where it is not.
    pub previous_valid_until: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
    /// The pools that it is narrowed to.
    pub pools: Option<Vec<String>>,
    /// The groups that it is narrowed to.
    pub groups: Option<Vec<String>>,
    /// Whether it is accepted, by the clock of the database.
    pub state: KeyState,
}

/// Which keys to list; a key must match all fields that are set.
#[derive(Debug, Clone, Default)]
pub struct ApiKeyFilter {
    /// Keys of this role.
    pub role: Option<Role>,
    /// Keys of this owner.
    pub owner: Option<String>,
    /// Keys in this state.
    pub state: Option<KeyState>,
}

/// The state is told here, so that the list can be filtered by it.
const KEYS: &str = "
    SELECT id, name, role, owner, prefix, created_at, created_by, expires_at, last_used_at, last_used_address, rotated_at,
           previous_valid_until, revoked_at, pools, groups, state
    FROM (SELECT id, name, role, owner, prefix, created_at, created_by, expires_at, last_used_at, last_used_address, rotated_at,
                 CASE WHEN previous_valid_until > now() THEN previous_valid_until END AS previous_valid_until, revoked_at, pools, groups,
                 CASE WHEN revoked_at IS NOT NULL THEN 'revoked' WHEN expires_at <= now() THEN 'expired' ELSE 'active' END AS state
          FROM api_keys) told";

/// Reads at most `limit` keys, newest first, starting below the row with the id `before`.
pub async fn list_api_keys(
    db: &DatabaseConnection,
    filter: ApiKeyFilter,
    before: Option<i64>,
    limit: u64,
) -> Result<Vec<ApiKeyView>, DbErr> {
    let of_page =
        "WHERE ($1::bigint IS NULL OR id < $1) AND ($2::text IS NULL OR role = $2) AND ($3::text IS NULL OR owner = $3)
         AND ($4::text IS NULL OR state = $4) ORDER BY id DESC LIMIT $5";
    let role = filter.role.map(|role| role.as_str().to_owned());
    let state = filter.state.map(|state| state.as_str().to_owned());
    let values: [Value; 5] = [
        before.into(),
        role.into(),
        filter.owner.into(),
        state.into(),
        count(limit).into(),
    ];
    let statement = Statement::from_sql_and_values(db.get_database_backend(), format!("{KEYS} {of_page}"), values);
    ApiKeyView::find_by_statement(statement).all(db).await
}

/// Reads one key.
pub async fn get_api_key(db: &impl ConnectionTrait, id: i64) -> Result<Option<ApiKeyView>, DbErr> {
    let statement =
        Statement::from_sql_and_values(db.get_database_backend(), format!("{KEYS} WHERE id = $1"), [id.into()]);
    ApiKeyView::find_by_statement(statement).one(db).await
}

/// Reads a key that was recorded in this transaction. Whoever is shown a secret is told about it without another query, which might fail after
/// the commit: the secret would be lost, and a repetition would draw another one.
pub(super) async fn recorded(transaction: &DatabaseTransaction, id: i64) -> Result<ApiKeyView, DbErr> {
    let found = get_api_key(transaction, id).await?;
    found.ok_or_else(|| DbErr::RecordNotFound(format!("the API key {id}, which was recorded just now")))
}
