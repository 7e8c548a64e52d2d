//! Records acks and events of nodes, many in one transaction.

use chrono::SubsecRound;
use sea_orm::{ActiveValue::Set, DatabaseTransaction, DbErr, EntityTrait, sea_query::OnConflict};
use vpnmanager_entities::{audit_log, user};
use vpnmanager_nats::{
    acks::Ack,
    events::{Event, EventKind},
    ids::{AgentInstance, NodeId},
    username::Username,
};

use crate::{
    app::App,
    domain::{actor::Actor, audit_action::AuditAction},
    ops::{
        audit::Entry,
        nodes::track_agent_runs::refused_runs,
        reports::apply_acks::{Applied, apply_acks},
        transact::transact,
    },
};

/// Records a batch in one transaction; after an error nothing of it is recorded. An ack from a node where the user is not placed changes
/// nothing. Reports of a clone are ignored: the real node gets the commands again that the clone received.
pub async fn apply_reports(app: &App, acks: &[Ack], events: &[Event]) -> Result<Applied, DbErr> {
    transact(&app.db, |tx| async move {
        let refused = refused_runs(&*tx).await?;
        let counts = |node: &NodeId, run: AgentInstance| refused.is_empty() || !refused.contains(&(node.clone(), run));
        let acks: Vec<&Ack> = acks.iter().filter(|ack| counts(&ack.node, ack.instance)).collect();
        let events: Vec<&Event> = events
            .iter()
            .filter(|event| counts(&event.node, event.instance))
            .collect();
        let applied = apply_acks(&tx, &acks, &app.config.server_id).await?;
        record_events(&tx, &events).await?;
        Ok(applied)
    })
    .await
}

async fn record_events(transaction: &DatabaseTransaction, events: &[&Event]) -> Result<(), DbErr> {
    if events.is_empty() {
        return Ok(());
    }
    let mut rows = Vec::with_capacity(events.len());
    for event in events {
        let action = AuditAction::of_event(&event.kind);
        let mut entry = Entry::new(&Actor::node(&event.node), action, &event.node);
        if let Some(username) = username_of(transaction, &event.kind).await? {
            entry = entry.about(&username);
        }
        if let Ok(kind) = serde_json::to_value(&event.kind) {
            entry = entry.after(kind);
        }
        rows.push(audit_log::ActiveModel {
            timestamp: Set(event.at.trunc_subsecs(6)),
            event_id: Set(Some(event.id)),
            ..entry.into_row()
        });
    }
    audit_log::Entity::insert_many(rows)
        .on_conflict(OnConflict::column(audit_log::Column::EventId).do_nothing().to_owned())
        .exec_without_returning(transaction)
        .await
        .map(drop)
}

async fn username_of(transaction: &DatabaseTransaction, kind: &EventKind) -> Result<Option<Username>, DbErr> {
    match kind {
        EventKind::UserExpired { user_key, .. } => {
            let found = user::Entity::find_by_key(*user_key).one(transaction).await?;
            Ok(found.map(|user| user.username))
        }
        EventKind::CommandUndecodable { .. }
        | EventKind::SessionsCut { .. }
        | EventKind::AllowListRepaired { .. }
        | EventKind::OpenvpnUp { .. }
        | EventKind::OpenvpnDown { .. } => Ok(None),
    }
}
