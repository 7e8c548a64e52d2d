//! Records acks and events of nodes, many in one transaction.

use std::collections::HashSet;

use chrono::SubsecRound;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, FromQueryResult,
    PaginatorTrait, QueryFilter, Statement,
};
use uuid::Uuid;
use vpnmanager_entities::{audit_log, placement, user};
use vpnmanager_nats::{
    acks::Ack,
    events::{Event, EventKind},
    ids::{AgentInstance, EventId, NodeId},
    username::Username,
};

use crate::{
    app::App,
    domain::{actor::Actor, audit_action::AuditAction},
    ops::{
        audit::Entry,
        audit_room::{self, Counts},
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
        record_events(&tx, app.config.audit.node_events, &events).await?;
        Ok(applied)
    })
    .await
}

/// Records each event once, and as many as its node has room for.
async fn record_events(transaction: &DatabaseTransaction, node_events: u32, events: &[&Event]) -> Result<(), DbErr> {
    let news = not_recorded(transaction, events).await?;
    let mut wanted = Counts::new();
    for event in &news {
        let key = (event.node.to_string(), AuditAction::of_event(&event.kind));
        *wanted.entry(key).or_default() += 1;
    }
    let mut room = audit_room::take(transaction, node_events, &wanted).await?;
    let has_room = |event: &&Event| audit_room::takes_one(&mut room, &event.node, AuditAction::of_event(&event.kind));
    let kept = news.into_iter().filter(has_room).collect();
    let kept = claim(transaction, kept).await?;
    if kept.is_empty() {
        return Ok(());
    }
    let mut rows = Vec::with_capacity(kept.len());
    for event in kept {
        let action = AuditAction::of_event(&event.kind);
        let mut entry = Entry::new(&Actor::node(&event.node), action, &event.node);
        if let Some(username) = username_of(transaction, event).await? {
            entry = entry.about(&username);
        }
        if let Ok(kind) = serde_json::to_value(&event.kind) {
            entry = entry.after(kind);
        }
        rows.push(audit_log::ActiveModel {
            event_id: Set(Some(event.id)),
            reported_at: Set(Some(event.at.trunc_subsecs(6))),
            ..entry.into_row()
        });
    }
    audit_log::Entity::insert_many(rows)
        .exec_without_returning(transaction)
        .await
        .map(drop)
}

#[derive(FromQueryResult)]
struct EventRow {
    event_id: EventId,
}

/// The events among these that were not recorded before, each once.
async fn not_recorded<'a>(transaction: &DatabaseTransaction, events: &[&'a Event]) -> Result<Vec<&'a Event>, DbErr> {
    if events.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = events.iter().map(|event| event.id.0).collect();
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "SELECT event_id FROM recorded_events WHERE event_id = ANY($1)",
        [ids.into()],
    );
    let recorded = EventRow::find_by_statement(statement).all(transaction).await?;
    let mut seen: HashSet<EventId> = recorded.into_iter().map(|row| row.event_id).collect();
    let news = events.iter().copied().filter(|event| seen.insert(event.id));
    Ok(news.collect())
}

/// Notes that these events are recorded, and gives those that no other replica has recorded meanwhile.
async fn claim<'a>(transaction: &DatabaseTransaction, events: Vec<&'a Event>) -> Result<Vec<&'a Event>, DbErr> {
    if events.is_empty() {
        return Ok(events);
    }
    let ids: Vec<Uuid> = events.iter().map(|event| event.id.0).collect();
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "INSERT INTO recorded_events (event_id) SELECT id FROM UNNEST($1::uuid[]) AS t (id) ORDER BY id
         ON CONFLICT DO NOTHING RETURNING event_id",
        [ids.into()],
    );
    let claimed = EventRow::find_by_statement(statement).all(transaction).await?;
    let claimed: HashSet<EventId> = claimed.into_iter().map(|row| row.event_id).collect();
    Ok(events.into_iter().filter(|event| claimed.contains(&event.id)).collect())
}

/// The user that the event is about. A node speaks of its own users only: of another one it gets no name into the trail.
async fn username_of(transaction: &DatabaseTransaction, event: &Event) -> Result<Option<Username>, DbErr> {
    match &event.kind {
        EventKind::UserExpired { user_key, .. } => {
            let Some(user) = user::Entity::find_by_key(*user_key).one(transaction).await? else {
                return Ok(None);
            };
            let is_placed = placement::Entity::find()
                .filter(placement::Column::UserId.eq(user.id))
                .filter(placement::Column::ServerId.eq(event.node.clone()))
                .count(transaction)
                .await?;
            Ok((is_placed > 0).then_some(user.username))
        }
        EventKind::CommandUndecodable { .. }
        | EventKind::SessionsCut { .. }
        | EventKind::AllowListRepaired { .. }
        | EventKind::OpenvpnUp { .. }
        | EventKind::OpenvpnDown { .. } => Ok(None),
    }
}
