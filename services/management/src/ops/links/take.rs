//! Hands out the profile behind a link, which uses up one use.

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, FromQueryResult, Statement};
use vpnmanager_entities::{profile_link, user};
use vpnmanager_nats::username::Username;

use super::{
    look::{LookAtLinkError, OpenLink, look_at_link},
    state::STATE,
};
use crate::{
    app::App,
    domain::{actor::Actor, audit_action::AuditAction, link_token::LinkToken},
    ops::{
        audit::{self, Entry, profile_link_snapshot},
        columns::columns_of,
        in_turn::transact_on_user,
        users::{
            fetch_profile::{FetchProfileError, Profile, fetch_profile_of},
            record_profile_read::profile_read,
        },
    },
};

/// A profile that leaves.
#[derive(Debug)]
pub struct HandedOut {
    /// Whose it is.
    pub username: Username,
    /// The profile.
    pub profile: Profile,
}

/// Why no profile was handed out. Nothing was used up.
#[derive(Debug, thiserror::Error)]
pub enum TakeProfileError {
    /// The link hands out nothing.
    #[error(transparent)]
    Link(#[from] LookAtLinkError),
    /// The profile could not be fetched.
    #[error("fetching the profile of the link failed")]
    Fetch(#[from] FetchProfileError),
    /// The database did not answer.
    #[error("recording the use of the link failed")]
    Database(#[from] DbErr),
}

/// Fetches the profile first, and uses up the link when it is there: so a home that is away, a caller that hangs up, and a management that
/// dies cost no use. Of two who take the last use at the same time one gets the profile. `visitor` is whoever asks.
pub async fn take_profile(app: &App, visitor: Actor, token: &LinkToken) -> Result<HandedOut, TakeProfileError> {
    let link = look_at_link(app, token).await?;
    let found = user::Entity::find_by_id(link.user_id).one(&app.db).await?;
    let user = found.ok_or(LookAtLinkError::Closed)?;
    let profile = fetch_profile_of(app, &user, &link.device).await?;
    let visitor = visitor.holding_link(link.id);
    let (taken_by, taken_link, taken) = (&visitor, &link, &profile);
    let is_taken = transact_on_user(app, &link.username, |tx| async move {
        let Some(used) = use_up(&tx, taken_link).await? else {
            return Ok::<bool, DbErr>(false);
        };
        let entries = [
            used_entry(app, taken_by, taken_link, &used),
            profile_read(app, taken_by, &taken_link.username, taken),
        ];
        audit::record_all(&tx, entries).await?;
        Ok(true)
    })
    .await?;
    if !is_taken {
        // Somebody was quicker, or it was closed meanwhile.
        let why = look_at_link(app, token).await.err();
        return Err(why.unwrap_or(LookAtLinkError::Used).into());
    }
    Ok(HandedOut {
        username: link.username,
        profile,
    })
}

/// Takes one use of a link that is still open; `None`: it is not.
async fn use_up(transaction: &DatabaseTransaction, link: &OpenLink) -> Result<Option<profile_link::Model>, DbErr> {
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        format!(
            "UPDATE profile_links l SET uses_left = l.uses_left - 1, last_used_at = now()
             FROM users u
             WHERE l.id = $1 AND u.id = l.user_id AND l.uses_left > 0 AND {STATE} = 'open'
             RETURNING {}",
            columns_of::<profile_link::Entity>("l")
        ),
        [link.id.into()],
    );
    profile_link::Model::find_by_statement(statement).one(transaction).await
}

fn used_entry(app: &App, visitor: &Actor, link: &OpenLink, used: &profile_link::Model) -> Entry {
    let before = profile_link::Model {
        uses_left: used.uses_left.saturating_add(1),
        ..used.clone()
    };
    Entry::new(visitor, AuditAction::ProfileLinkUsed, &app.config.server_id)
        .about(&link.username)
        .before(profile_link_snapshot(&before))
        .after(profile_link_snapshot(used))
}
