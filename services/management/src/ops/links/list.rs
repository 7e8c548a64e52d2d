//! Lists the links to the profiles of a user that are open.

use chrono::{DateTime, Utc};
use sea_orm::{DatabaseConnection, FromQueryResult, Statement};
use vpnmanager_entities::user;
use vpnmanager_nats::{device::DeviceName, username::Username};

use super::state::IS_OPEN;
use crate::ops::count::count;
use crate::ops::users::locked::LivingUserError;

/// A link as people may see it: its hash is not read.
#[derive(Debug, Clone, FromQueryResult)]
pub struct LinkView {
    /// Row id.
    pub id: i64,
    /// The device whose profile it hands out.
    pub device: DeviceName,
    /// Who created it.
    pub created_by: String,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it stops being valid.
    pub expires_at: DateTime<Utc>,
    /// How often it still hands out the profile.
    pub uses_left: i16,
    /// When it handed out the profile last.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// Reads at most `limit` open links of a living user, newest first, starting below the row with the id `before`.
pub async fn list_links(
    db: &DatabaseConnection,
    username: &Username,
    before: Option<i64>,
    limit: u64,
) -> Result<Vec<LinkView>, LivingUserError> {
    let found = user::Entity::find_living_by_username(username).one(db).await?;
    let user = found.ok_or(LivingUserError::UnknownUser)?;
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        format!(
            "SELECT l.id, l.device, l.created_by, l.created_at, l.expires_at, l.uses_left, l.last_used_at
             FROM profile_links l
             WHERE l.user_id = $1 AND ($2::bigint IS NULL OR l.id < $2) AND {IS_OPEN}
             ORDER BY l.id DESC LIMIT $3"
        ),
        [user.id.into(), before.into(), count(limit).into()],
    );
    Ok(LinkView::find_by_statement(statement).all(db).await?)
}
