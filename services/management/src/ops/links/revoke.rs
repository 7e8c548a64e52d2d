//! Revokes links to the profile of a user.

use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, FromQueryResult, QueryFilter, Statement,
};
use vpnmanager_entities::{profile_link, user};
use vpnmanager_nats::{device::DeviceName, username::Username};

use super::state::IS_OPEN;
use crate::{
    app::App,
    domain::{actor::Actor, audit_action::AuditAction},
    ops::{
        audit::{self, Entry, profile_link_snapshot},
        columns::columns_of,
        transact::transact,
    },
};

/// Why a link was not revoked.
#[derive(Debug, thiserror::Error)]
pub enum RevokeLinkError {
    /// No living user has the name.
    #[error("there is no such user")]
    UnknownUser,
    /// The user has no link with this id.
    #[error("the user has no such link")]
    UnknownLink,
    /// The database failed.
    #[error("revoking the link failed")]
    Database(#[from] DbErr),
}

/// Revokes one link of a living user. One that hands out nothing any more stays as it is, and that is no error.
pub async fn revoke_link(app: &App, actor: &Actor, username: &Username, id: i64) -> Result<(), RevokeLinkError> {
    transact(&app.db, |tx| async move {
        let found = user::Entity::find_living_by_username(username).one(&*tx).await?;
        let user = found.ok_or(RevokeLinkError::UnknownUser)?;
        let of_user = profile_link::Entity::find_by_id(id).filter(profile_link::Column::UserId.eq(user.id));
        of_user.one(&*tx).await?.ok_or(RevokeLinkError::UnknownLink)?;
        end_links(&tx, app, actor, (&user, Ended::One(id))).await?;
        Ok::<(), RevokeLinkError>(())
    })
    .await
}

/// Which links of a user are revoked.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ended<'a> {
    /// The one with this id.
    One(i64),
    /// Those to the profile of this device.
    OfDevice(&'a DeviceName),
}

/// Revokes those links of a user that are open, and records each. Whoever uses one at the same time locks its row too: the
/// later one sees what the earlier one did.
pub(crate) async fn end_links(
    transaction: &DatabaseTransaction,
    app: &App,
    actor: &Actor,
    (user, which): (&user::Model, Ended<'_>),
) -> Result<(), DbErr> {
    let (id, device) = match which {
        Ended::One(id) => (Some(id), None),
        Ended::OfDevice(device) => (None, Some(device.to_string())),
    };
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        format!(
            "UPDATE profile_links l SET revoked_at = now()
             WHERE l.user_id = $1 AND ($2::bigint IS NULL OR l.id = $2) AND ($3::text IS NULL OR l.device = $3) AND {IS_OPEN}
             RETURNING {}",
            columns_of::<profile_link::Entity>("l")
        ),
        [user.id.into(), id.into(), device.into()],
    );
    let ended = profile_link::Model::find_by_statement(statement)
        .all(transaction)
        .await?;
    let entries = ended.iter().map(|link| {
        Entry::new(actor, AuditAction::ProfileLinkRevoked, &app.config.server_id)
            .about(&user.username)
            .before(profile_link_snapshot(link))
    });
    audit::record_all(transaction, entries).await
}
