//! Recognises that the bus has a new store; then every command is published again.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, DatabaseTransaction, DbErr, EntityTrait, IntoActiveModel, QuerySelect,
};
use serde_json::json;
use tracing::warn;
use vpnmanager_entities::bus_stream;
use vpnmanager_nats::{sync::StreamId, topology::COMMANDS};

use crate::{
    app::App,
    domain::{actor::Actor, audit_action::AuditAction},
    ops::{
        audit::{self, Entry},
        publications::make_due::publish_all_again,
        transact::transact,
    },
};

/// Compares the stream with the recorded one. Several replicas may do this at the same time: one records the change, and all mark placements for
/// publication, a batch in each transaction, because whoever ends somebody's access must not wait until all are marked.
pub async fn recognise_stream(app: &App, found: StreamId) -> Result<(), DbErr> {
    let created_at = DateTime::from_timestamp_micros(found.0).unwrap_or_default();
    loop {
        let known = bus_stream::Entity::find_by_id(COMMANDS).one(&app.db).await?;
        if known.is_some_and(|known| known.created_at == created_at && known.marked_upto.is_none()) {
            break;
        }
        transact(&app.db, |tx| async move {
            follow(&tx, &app.config.server_id, created_at).await
        })
        .await?;
        app.publisher.wake();
    }
    app.publisher.wake();
    Ok(())
}

/// Records the store, or marks the next placements of one that replaced another.
async fn follow(transaction: &DatabaseTransaction, recorder: &str, created_at: DateTime<Utc>) -> Result<(), DbErr> {
    let known = bus_stream::Entity::find_by_id(COMMANDS)
        .lock_exclusive()
        .one(transaction)
        .await?;
    let Some(known) = known else {
        let row = bus_stream::ActiveModel {
            name: Set(COMMANDS.to_owned()),
            created_at: Set(created_at),
            marked_upto: Set(None),
        };
        return bus_stream::Entity::insert(row)
            .on_conflict_do_nothing()
            .exec_without_returning(transaction)
            .await
            .map(drop);
    };
    let is_new = known.created_at != created_at;
    let marked = match known.marked_upto {
        _ if is_new => 0,
        Some(marked) => marked,
        None => return Ok(()),
    };
    if is_new {
        warn!(known = %known.created_at, found = %created_at, "The bus has a new store, publishing every command again");
        let entry = Entry::new(&Actor::system(), AuditAction::BusStoreReplaced, recorder)
            .details("every placement is published again")
            .before(json!({ "created_at": known.created_at }))
            .after(json!({ "created_at": created_at }));
        audit::record_one(transaction, entry).await?;
    }
    let mut row = known.into_active_model();
    row.created_at = Set(created_at);
    row.marked_upto = Set(publish_all_again(transaction, marked).await?);
    row.update(transaction).await.map(drop)
}
