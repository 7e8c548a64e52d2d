//! Makes what is kept of the members of a group fit its quota, after that was changed.

use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ConnectionTrait as _, DatabaseTransaction, DbErr, EntityTrait as _,
    FromQueryResult, IntoActiveModel as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, Statement,
};
use vpnmanager_entities::{group, user};

use super::{judge::BATCH, keep_forgiven::keep_forgiven};
use crate::{app::App, ops::transact::transact};

#[derive(FromQueryResult)]
struct RowId {
    id: i64,
}

/// Settles all groups whose quota was changed and whose members did not all have their turn: the replica that was asked for it died, or failed.
pub(super) async fn settle_groups(app: &App) -> Result<(), DbErr> {
    let due = group::Entity::find()
        .filter(group::COLUMN.quota_settled_upto.is_not_null())
        .order_by_asc(group::Column::Id)
        .all(&app.db)
        .await?;
    for group in due {
        settle_group(app, group.id).await?;
    }
    Ok(())
}

/// Gives each member of the group with this row id who has no quota of its own its turn: of what was forgiven the part in the period of now is kept
/// ([`keep_forgiven`]), and the trail says anew that most of the quota is used. Begins where the last one stopped
/// ([`quota_settled_upto`](group::Model::quota_settled_upto)), which is written with each batch. Other replicas may do the same at this moment:
/// each member has one turn for a change. Nothing is to be done for a group that is settled, or is not there.
pub(in crate::ops) async fn settle_group(app: &App, group: i64) -> Result<(), DbErr> {
    loop {
        let goes_on = transact(&app.db, |tx| async move { settle_batch(&tx, group).await }).await?;
        if !goes_on {
            return Ok(());
        }
    }
}

/// Settles the next members; `false`: there is none left. The group comes after the users, as everywhere.
async fn settle_batch(transaction: &DatabaseTransaction, group: i64) -> Result<bool, DbErr> {
    let Some(group) = group::Entity::find_by_id(group).one(transaction).await? else {
        return Ok(false);
    };
    let Some(upto) = group.quota_settled_upto else {
        return Ok(false);
    };
    let members = next_members(transaction, &group, upto).await?;
    let last = members.last().copied();
    let locked = user::Entity::find_living()
        .filter(user::COLUMN.id.is_in(members))
        .order_by_asc(user::Column::Id)
        .lock_exclusive()
        .all(transaction)
        .await?;
    if !note_progress(transaction, group.id, upto, last).await? {
        // Another replica was faster, or the quota is another one again.
        return Ok(true);
    }
    for member in locked {
        // Who got into another group meanwhile, or a quota of its own, is settled with that.
        if member.group_name == group.name && member.own_traffic_bytes.is_none() {
            settle(transaction, member).await?;
        }
    }
    Ok(last.is_some())
}

async fn settle(transaction: &DatabaseTransaction, member: user::Model) -> Result<(), DbErr> {
    let member = keep_forgiven(transaction, member).await?;
    if member.quota_warned_from.is_none() {
        return Ok(());
    }
    let mut row = member.into_active_model();
    row.quota_warned_from = Set(None);
    row.update(transaction).await.map(drop)
}

/// The row ids of the next members after this one of whom there is something to settle, in order.
async fn next_members(transaction: &DatabaseTransaction, group: &group::Model, upto: i64) -> Result<Vec<i64>, DbErr> {
    // The index of members leaves the group `default` out.
    let members = if group.name.is_default() {
        "group_name = $2"
    } else {
        "group_name = $2 AND group_name <> 'default'"
    };
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        format!(
            "SELECT id FROM users WHERE id > $1 AND removed_at IS NULL AND {members} AND own_traffic_bytes IS NULL
                 AND (traffic_forgiven > 0 OR quota_warned_from IS NOT NULL)
             ORDER BY id LIMIT {BATCH}"
        ),
        [upto.into(), group.name.to_string().into()],
    );
    let members = RowId::find_by_statement(statement).all(transaction).await?;
    Ok(members.into_iter().map(|member| member.id).collect())
}

/// Writes that members up to `last` have their turn, or all (`None`); `false`: the group is not where it was read to be.
async fn note_progress(
    transaction: &DatabaseTransaction,
    group: i64,
    upto: i64,
    last: Option<i64>,
) -> Result<bool, DbErr> {
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "UPDATE groups SET quota_settled_upto = $1 WHERE id = $2 AND quota_settled_upto = $3",
        [last.into(), group.into(), upto.into()],
    );
    Ok(transaction.execute_raw(statement).await?.rows_affected() > 0)
}
