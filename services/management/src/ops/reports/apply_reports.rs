//! Records acks and events of nodes, many in one transaction.

use std::collections::{HashMap, HashSet};

use chrono::{SubsecRound, Utc};
use sea_orm::{ActiveValue::Set, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, FromQueryResult, Statement};
use uuid::Uuid;
use vpnmanager_entities::audit_log;
use vpnmanager_nats::{
    acks::Ack,
    events::{Event, EventKind},
    ids::{AgentInstance, EventId, NodeId, UserKey},
    username::Username,
};

use crate::{
    app::App,
    domain::{actor::Actor, audit_action::AuditAction},
    ops::{
        audit::Entry,
        audit_room::{self, Counts},
        busy::Busy,
        nodes::track_agent_runs::refused_runs,
        reports::apply_acks::{Applied, apply_acks},
        transact::transact,
    },
};

/// Records a batch; it may be recorded again after an error. An ack from a node where the user is not placed changes nothing. Reports of a
/// clone are ignored: the real node gets the commands again that the clone received.
///
/// Acks of users that another transaction is changing are recorded after the others, in a transaction of their own: who changes one of the
/// others, maybe to end access, waits for neither.
pub async fn apply_reports(app: &App, acks: &[Ack], events: &[Event]) -> Result<Applied, DbErr> {
    let mut applied = apply_within(app, acks, events, Busy::LeaveOut).await?;
    for event in events {
        if let EventKind::SessionsCut { common_names } = &event.kind {
            app.figures.work.cut(common_names.len());
        }
    }
    let busy = std::mem::take(&mut applied.busy);
    if busy.is_empty() {
        return Ok(applied);
    }
    let acks: Vec<Ack> = acks
        .iter()
        .filter(|ack| busy.contains(&ack.user_key))
        .cloned()
        .collect();
    let rest = apply_within(app, &acks, &[], Busy::Await).await?;
    applied.users.extend(rest.users);
    applied.tombstones.extend(rest.tombstones);
    Ok(applied)
}

async fn apply_within(app: &App, acks: &[Ack], events: &[Event], busy: Busy) -> Result<Applied, DbErr> {
    let applied = apply_once(app, acks, events, busy).await?;
    for acked in &applied.acked {
        let latency = acked
            .published_at
            .map(|at| (Utc::now() - at).to_std().unwrap_or_default());
        app.figures.work.acked(acked.outcome.as_str(), latency);
    }
    Ok(applied)
}

async fn apply_once(app: &App, acks: &[Ack], events: &[Event], busy: Busy) -> Result<Applied, DbErr> {
    transact(&app.db, |tx| async move {
        let refused = refused_runs(&*tx).await?;
        let counts = |node: &NodeId, run: AgentInstance| refused.is_empty() || !refused.contains(&(node.clone(), run));
        let acks: Vec<&Ack> = acks.iter().filter(|ack| counts(&ack.node, ack.instance)).collect();
        let events: Vec<&Event> = events
            .iter()
            .filter(|event| counts(&event.node, event.instance))
            .collect();
        let applied = apply_acks(&tx, &acks, &app.config.server_id, busy).await?;
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
    let usernames = usernames_of(transaction, &kept).await?;
    let rows = kept.into_iter().map(|event| {
        let action = AuditAction::of_event(&event.kind);
        let mut entry = Entry::new(&Actor::node(&event.node), action, &event.node);
        if let Some(username) = user_of(event).and_then(|user| usernames.get(&(event.node.clone(), user))) {
            entry = entry.about(username);
        }
        if let Ok(kind) = serde_json::to_value(&event.kind) {
            entry = entry.after(kind);
        }
        audit_log::ActiveModel {
            event_id: Set(Some(event.id)),
            reported_at: Set(Some(event.at.trunc_subsecs(6))),
            ..entry.into_row()
        }
    });
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

/// The user that the event is about.
fn user_of(event: &Event) -> Option<UserKey> {
    match event.kind {
        EventKind::UserExpired { user_key, .. } => Some(user_key),
        EventKind::CommandUndecodable { .. }
        | EventKind::SessionsCut { .. }
        | EventKind::AllowListRepaired { .. }
        | EventKind::OpenvpnUp { .. }
        | EventKind::OpenvpnDown { .. } => None,
    }
}

#[derive(FromQueryResult)]
struct PlacedUser {
    key: UserKey,
    username: Username,
    server_id: NodeId,
}

/// The names of the users that events are about, by node and user. A node speaks of its own users only: of another one it gets no name into
/// the trail.
async fn usernames_of(
    transaction: &DatabaseTransaction,
    events: &[&Event],
) -> Result<HashMap<(NodeId, UserKey), Username>, DbErr> {
    let users: Vec<Uuid> = events
        .iter()
        .filter_map(|event| user_of(event))
        .map(|user| user.0)
        .collect();
    if users.is_empty() {
        return Ok(HashMap::new());
    }
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "SELECT u.key, u.username, p.server_id FROM users u JOIN placements p ON p.user_id = u.id
         WHERE u.key = ANY($1) AND (p.wanted_present OR u.removed_at IS NOT NULL)",
        [users.into()],
    );
    let placed = PlacedUser::find_by_statement(statement).all(transaction).await?;
    let named = placed
        .into_iter()
        .map(|placed| ((placed.server_id, placed.key), placed.username));
    Ok(named.collect())
}
