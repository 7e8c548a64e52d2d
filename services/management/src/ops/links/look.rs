//! Looks at a link. That uses up nothing: programs that scan mail and preview messages look too.

use chrono::{DateTime, Utc};
use sea_orm::{DbErr, FromQueryResult, Statement};
use vpnmanager_entities::profile_link::LinkState;
use vpnmanager_nats::{device::DeviceName, username::Username};

use super::state::STATE;
use crate::{app::App, domain::link_token::LinkToken};

/// A link that hands out a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenLink {
    /// The id of its row.
    pub id: i64,
    /// The row of its user.
    pub user_id: i64,
    /// The name of its user.
    pub username: Username,
    /// The device whose profile it hands out.
    pub device: DeviceName,
    /// When it expires.
    pub expires_at: DateTime<Utc>,
    /// How often it may be used.
    pub uses_left: i16,
}

/// Why a link hands out nothing.
#[derive(Debug, thiserror::Error)]
pub enum LookAtLinkError {
    /// No link has this token.
    #[error("there is no such link")]
    Unknown,
    /// It was used as often as it may be.
    #[error("the link was used already")]
    Used,
    /// Its time is over.
    #[error("the time of the link is over")]
    Expired,
    /// It was revoked.
    #[error("the link was revoked")]
    Revoked,
    /// Its user is suspended, expired or removed.
    #[error("the user of the link has no access")]
    Closed,
    /// The database did not answer.
    #[error("reading the link failed")]
    Database(#[from] DbErr),
}

#[derive(FromQueryResult)]
struct Found {
    id: i64,
    user_id: i64,
    username: Username,
    device: DeviceName,
    expires_at: DateTime<Utc>,
    uses_left: i16,
    state: LinkState,
}

/// Finds the link with this token.
pub async fn look_at_link(app: &App, token: &LinkToken) -> Result<OpenLink, LookAtLinkError> {
    let statement = Statement::from_sql_and_values(
        app.db.get_database_backend(),
        format!(
            "SELECT l.id, l.user_id, u.username, l.device, l.expires_at, l.uses_left, {STATE} AS state
             FROM profile_links l JOIN users u ON u.id = l.user_id WHERE l.hash = $1"
        ),
        [token.hash().to_vec().into()],
    );
    let found = Found::find_by_statement(statement).one(&app.db).await?;
    let found = found.ok_or(LookAtLinkError::Unknown)?;
    match found.state {
        LinkState::Open => Ok(OpenLink {
            id: found.id,
            user_id: found.user_id,
            username: found.username,
            device: found.device,
            expires_at: found.expires_at,
            uses_left: found.uses_left,
        }),
        LinkState::Used => Err(LookAtLinkError::Used),
        LinkState::Expired => Err(LookAtLinkError::Expired),
        LinkState::Revoked => Err(LookAtLinkError::Revoked),
        LinkState::Closed => Err(LookAtLinkError::Closed),
    }
}
