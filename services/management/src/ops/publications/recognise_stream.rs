//! Recognises that the bus has a new store; then every command is published again.

use chrono::DateTime;
use sea_orm::{ActiveModelTrait, ActiveValue::Set, DbErr, EntityTrait, IntoActiveModel, QuerySelect};
use serde_json::json;
use tracing::warn;
use vpnmanager_entities::bus_stream;
use vpnmanager_nats::{sync::StreamId, topology::COMMANDS};

use crate::{
    app::App,
    domain::{actor::Actor, audit_action::AuditAction},
    ops::{
        audit::{self, Entry},
        publications::make_due::{Lost, publish_again},
        transact::transact,
    },
};

/// Compares the stream with the recorded one. Only one of several replicas records the change.
pub async fn recognise_stream(app: &App, found: StreamId) -> Result<(), DbErr> {
    let created_at = DateTime::from_timestamp_micros(found.0).unwrap_or_default();
    transact(&app.db, |tx| async move {
        let known = bus_stream::Entity::find_by_id(COMMANDS)
            .lock_exclusive()
            .one(&*tx)
            .await?;
        let Some(known) = known else {
            let row = bus_stream::ActiveModel {
                name: Set(COMMANDS.to_owned()),
                created_at: Set(created_at),
            };
            bus_stream::Entity::insert(row)
                .on_conflict_do_nothing()
                .exec_without_returning(&*tx)
                .await?;
            return Ok(());
        };
        if known.created_at == created_at {
            return Ok(());
        }
        warn!(known = %known.created_at, found = %created_at, "The bus has a new store, publishing every command again");
        let before = known.created_at;
        let mut row = known.into_active_model();
        row.created_at = Set(created_at);
        row.update(&*tx).await?;
        publish_again(&*tx, Lost::Store).await?;
        let entry = Entry::new(&Actor::system(), AuditAction::BusStoreReplaced, &app.config.server_id)
            .details("every placement is published again")
            .before(json!({ "created_at": before }))
            .after(json!({ "created_at": created_at }));
        audit::record_one(&tx, entry).await
    })
    .await?;
    app.publisher.wake();
    Ok(())
}
