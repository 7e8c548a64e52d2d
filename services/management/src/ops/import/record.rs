//! Records an import: its report, and a row in the audit trail.

use chrono::{DateTime, Utc};
use ipnetwork::IpNetwork;
use sea_orm::{ActiveValue::Set, DatabaseTransaction, DbErr, EntityTrait};
use serde_json::json;
use uuid::Uuid;
use vpnmanager_entities::import;

use super::order::Order;
use crate::{
    domain::{audit_action::AuditAction, import::report::Report},
    ops::audit::{self, Entry},
};

/// The most entries, and remarks, that are kept of an import. All of them stand in the answer to whoever ran it as a command.
pub const MOST_KEPT: usize = 10_000;

/// Records it under this id.
pub(super) async fn record(
    transaction: &DatabaseTransaction,
    order: &Order<'_>,
    (id, report): (Uuid, &Report),
    (started_at, finished_at): (DateTime<Utc>, DateTime<Utc>),
) -> Result<(), DbErr> {
    let kept = report.clone().shortened(MOST_KEPT);
    let row = import::ActiveModel {
        id: Set(id),
        server_id: Set(order.node.clone()),
        source: Set(report.source.clone()),
        sha256: Set(report.sha256.clone()),
        actor: Set(order.actor.name.clone()),
        ip_address: Set(order.actor.address.map(IpNetwork::from)),
        request_id: Set(order.actor.request_id.clone()),
        started_at: Set(started_at),
        finished_at: Set(finished_at),
        report: Set(json!(kept)),
    };
    import::Entity::insert(row).exec_without_returning(transaction).await?;
    let entry = Entry::new(order.actor, AuditAction::UsersImported, order.node)
        .details(format!("the source {}", report.source))
        .after(json!({ "id": id, "source": report.source, "sha256": report.sha256, "counts": report.counts }));
    audit::record_one(transaction, entry).await
}
