//! Revokes links to the profile of a user.

use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, FromQueryResult, QueryFilter, Statement,
    Value,
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
        in_turn::transact_on_user,
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
    transact_on_user(app, username, |tx| async move {
        let found = user::Entity::find_living_by_username(username).one(&*tx).await?;
        let user = found.ok_or(RevokeLinkError::UnknownUser)?;
        let of_user = profile_link::Entity::find_by_id(id).filter(profile_link::Column::UserId.eq(user.id));
        of_user.one(&*tx).await?.ok_or(RevokeLinkError::UnknownLink)?;
        let statement = ended(&*tx, "FROM users u WHERE u.id = l.user_id AND l.id = $1", [id.into()]);
        record(&tx, app, actor, statement).await?;
        Ok::<(), RevokeLinkError>(())
    })
    .await
}

/// Revokes the open links to the profiles of these devices of users, whose row ids stand beside them, and records each. Whoever uses one at the
/// same time locks its row too: the later one sees what the earlier one did.
pub(crate) async fn end_links(
    transaction: &DatabaseTransaction,
    app: &App,
    actor: &Actor,
    devices: &[(i64, &DeviceName)],
) -> Result<(), DbErr> {
    let (users, devices): (Vec<i64>, Vec<String>) =
        devices.iter().map(|(user, device)| (*user, device.to_string())).unzip();
    let statement = ended(
        transaction,
        "FROM users u JOIN UNNEST($1::bigint[], $2::text[]) AS d (user_id, device) ON d.user_id = u.id
         WHERE l.user_id = u.id AND l.device = d.device",
        [users.into(), devices.into()],
    );
    record(transaction, app, actor, statement).await
}

/// Revokes the open links `l`, of the user `u`, that `which` names; gives them.
fn ended(db: &impl ConnectionTrait, which: &str, values: impl IntoIterator<Item = Value>) -> Statement {
    let columns = columns_of::<profile_link::Entity>("l");
    let sql =
        format!("UPDATE profile_links l SET revoked_at = now() {which} AND {IS_OPEN} RETURNING u.username, {columns}");
    Statement::from_sql_and_values(db.get_database_backend(), sql, values)
}

/// A link that was revoked.
#[derive(FromQueryResult)]
struct EndedLink {
    username: Username,
    #[sea_orm(nested)]
    link: profile_link::Model,
}

async fn record(
    transaction: &DatabaseTransaction,
    app: &App,
    actor: &Actor,
    statement: Statement,
) -> Result<(), DbErr> {
    let ended = EndedLink::find_by_statement(statement).all(transaction).await?;
    let entries = ended.iter().map(|ended| {
        Entry::new(actor, AuditAction::ProfileLinkRevoked, &app.config.server_id)
            .about(&ended.username)
            .before(profile_link_snapshot(&ended.link))
    });
    audit::record_all(transaction, entries).await
}
