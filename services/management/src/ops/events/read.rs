//! Reads the audit trail in the order of recording.

use std::{collections::HashSet, sync::Arc};

use sea_orm::{
    ColumnTrait, DatabaseConnection, DbErr, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect,
    Statement,
};
use vpnmanager_entities::audit_log;

use super::{event::Event, filter::EventFilter};

/// Entries of one reading. They are in memory together with those that listeners have not sent yet.
pub(super) const PAGE: u64 = 100;
/// Ids that one reading looks through for what matches, so that none takes long.
const WINDOW: i64 = 20_000;

/// The first entries above this id, in their order.
pub(super) async fn entries_above(db: &DatabaseConnection, id: i64) -> Result<Vec<audit_log::Model>, DbErr> {
    audit_log::Entity::find()
        .filter(audit_log::Column::Id.gt(id))
        .order_by_asc(audit_log::Column::Id)
        .limit(PAGE)
        .all(db)
        .await
}

/// Their ids alone.
pub(super) async fn ids_above(db: &DatabaseConnection, id: i64) -> Result<Vec<i64>, DbErr> {
    audit_log::Entity::find()
        .select_only()
        .column(audit_log::Column::Id)
        .filter(audit_log::Column::Id.gt(id))
        .order_by_asc(audit_log::Column::Id)
        .limit(PAGE)
        .into_tuple()
        .all(db)
        .await
}

/// The newest ids, the highest first.
pub(super) async fn newest_ids(db: &DatabaseConnection, limit: u64) -> Result<Vec<i64>, DbErr> {
    audit_log::Entity::find()
        .select_only()
        .column(audit_log::Column::Id)
        .order_by_desc(audit_log::Column::Id)
        .limit(limit)
        .into_tuple()
        .all(db)
        .await
}

/// Events that match, and up to which id there are no others.
pub(super) struct Found {
    pub(super) events: Vec<Arc<Event>>,
    pub(super) upto: i64,
}

/// The first events that match above one id and up to another one.
pub(super) async fn matching(
    db: &DatabaseConnection,
    filter: &EventFilter,
    after: i64,
    upto: i64,
) -> Result<Found, DbErr> {
    let end = upto.min(after.saturating_add(WINDOW));
    let rows = audit_log::Entity::find()
        .filter(audit_log::Column::Id.gt(after))
        .filter(audit_log::Column::Id.lte(end))
        .filter(filter.condition())
        .order_by_asc(audit_log::Column::Id)
        .limit(PAGE)
        .all(db)
        .await?;
    let is_full = rows.len() as u64 >= PAGE;
    let last = rows.last().filter(|_| is_full).map_or(end, |row| row.id);
    Ok(Found {
        events: rows.iter().map(|row| Arc::new(Event::of(row))).collect(),
        upto: last,
    })
}

#[derive(FromQueryResult)]
struct Writer {
    writer: String,
}

/// The transactions that may write entries at this moment: whoever inserts holds this lock from before the entry gets its number until the
/// transaction ends. Everybody may read the list of locks. PostgreSQL manual, section 13.3.1 and `pg_locks`.
pub(super) async fn writers(db: &DatabaseConnection) -> Result<HashSet<String>, DbErr> {
    let statement = Statement::from_string(
        db.get_database_backend(),
        "SELECT virtualtransaction::text AS writer FROM pg_locks
         WHERE locktype = 'relation' AND relation = 'audit_log'::regclass AND mode = 'RowExclusiveLock' AND granted
           AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    );
    let rows = Writer::find_by_statement(statement).all(db).await?;
    Ok(rows.into_iter().map(|row| row.writer).collect())
}
