//! Groups for own rules that no user has: which they are, since when, and how they are deleted.

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, FromQueryResult, Statement};
use vpnmanager_nats::groups::GroupName;

/// No user is in it. A removed user counts until the last node has confirmed the removal, when its row goes.
const NOBODY: &str = "NOT EXISTS (SELECT FROM users u WHERE u.own_group = o.name)";
/// Nobody has been in it for long, and nodes know where users of its group are now: until they have applied that, they hold them to it. Who went to
/// another group since reaches nothing on a node that has yet to hear of it.
const OLD: &str = "unused_since < now() - interval '1 hour'
     AND NOT EXISTS (SELECT FROM placements p JOIN users u ON u.id = p.user_id
                     WHERE u.group_name = o.group_name AND p.applied_revision < p.wanted_revision)";

/// Which of them to delete.
#[derive(Debug, Clone, Copy)]
pub(super) enum Unused {
    /// Those of which nodes need nothing any more.
    Old,
    /// So many, and first those that nobody has had for longest.
    Longest(u64),
}

/// Writes down since when nobody has had those that nobody has. Replicas may do this at once.
pub(super) async fn note_unused(db: &impl ConnectionTrait) -> Result<(), DbErr> {
    let sql = format!(
        "WITH turned AS MATERIALIZED (
             SELECT name FROM own_groups o WHERE (unused_since IS NULL) = ({NOBODY})
             ORDER BY name FOR NO KEY UPDATE SKIP LOCKED)
         UPDATE own_groups o SET unused_since = CASE WHEN o.unused_since IS NULL THEN now() END
         FROM turned WHERE o.name = turned.name"
    );
    db.execute_unprepared(&sql).await.map(drop)
}

#[derive(FromQueryResult)]
struct Named {
    name: GroupName,
}

/// Whether there are some that are [old](Unused::Old).
pub(super) async fn is_any_old(db: &impl ConnectionTrait) -> Result<bool, DbErr> {
    let sql = format!("SELECT name FROM own_groups o WHERE {NOBODY} AND {OLD} LIMIT 1");
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let found = Named::find_by_statement(statement).one(db).await?;
    Ok(found.is_some())
}

/// Deletes those, and says how many there were. Whoever puts a user into one holds it until that is done, and keeps it.
pub(super) async fn delete_unused(transaction: &DatabaseTransaction, which: Unused) -> Result<u64, DbErr> {
    let (condition, most) = match which {
        Unused::Old => (OLD, None),
        Unused::Longest(most) => ("true", i64::try_from(most).ok()),
    };
    let lock = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        format!(
            "SELECT name FROM own_groups o WHERE {NOBODY} AND {condition}
             ORDER BY unused_since NULLS LAST, created_at, name LIMIT $1 FOR UPDATE SKIP LOCKED"
        ),
        [most.into()],
    );
    let locked = Named::find_by_statement(lock).all(transaction).await?;
    let names: Vec<String> = locked.iter().map(|named| named.name.to_string()).collect();
    // Another statement sees the users that were put into them before they were locked.
    let delete = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        format!("DELETE FROM own_groups o WHERE name = ANY($1) AND {NOBODY}"),
        [names.into()],
    );
    let deleted = transaction.execute_raw(delete).await?;
    Ok(deleted.rows_affected())
}
