//! Keeps what a node causes within its room in the audit trail, and says in one entry a minute what found no room. Replicas share the
//! counts through the table `audit_room`.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, FromQueryResult, Statement};
use serde_json::{Value, json};
use vpnmanager_nats::ids::NodeId;

use crate::{
    domain::{
        actor::Actor,
        audit_action::AuditAction,
        audit_room::{self, Room},
    },
    ops::{
        audit::{self, Entry},
        transact::transact,
    },
};

/// Entries of each action in an hour that management records because of what a node sends, other than its events: what it acks, asks for
/// and how it says it is. Beyond is nothing that an honest node does.
const CAUSED_PER_HOUR: u32 = 600;

/// An entry that a node caused.
#[derive(Debug)]
pub struct Caused {
    /// The node.
    pub by: NodeId,
    /// The action of the entry.
    pub action: AuditAction,
    /// The entry.
    pub entry: Entry,
}

/// Records entries that nodes caused by what they sent, as many as each node has room for. To be called once in a transaction and last: it
/// locks the room of these nodes in one order, and who waits for it must hold nothing that its holder still asks for.
pub async fn record_caused(
    transaction: &DatabaseTransaction,
    caused: impl IntoIterator<Item = Caused>,
) -> Result<(), DbErr> {
    let caused: Vec<Caused> = caused.into_iter().collect();
    let mut wanted = Counts::new();
    for Caused { by, action, .. } in &caused {
        *wanted.entry((by.to_string(), *action)).or_default() += 1;
    }
    let mut room = take(transaction, CAUSED_PER_HOUR, &wanted).await?;
    let kept = caused
        .into_iter()
        .filter(|one| takes_one(&mut room, &one.by, one.action));
    audit::record_all(transaction, kept.map(|one| one.entry)).await
}

/// Whether there is room for one more; takes it.
pub fn takes_one(room: &mut Counts, node: &NodeId, action: AuditAction) -> bool {
    let left = room.get_mut(&(node.to_string(), action));
    left.filter(|left| **left > 0).is_some_and(|left| {
        *left -= 1;
        true
    })
}

/// How many entries with an action a node wants, or gets.
pub type Counts = BTreeMap<(String, AuditAction), u32>;

#[derive(FromQueryResult)]
struct Row {
    room: f64,
    refilled_at: DateTime<Utc>,
    now: DateTime<Utc>,
}

/// Takes room for these entries, and gives how many of them may be recorded. The others are counted for the next summary. `node_events` is
/// the setting. To be called once in a transaction, after which only rows that nobody else waits for may be locked, or `recorded_events`
/// in the order of their ids.
pub async fn take(transaction: &DatabaseTransaction, node_events: u32, wanted: &Counts) -> Result<Counts, DbErr> {
    if wanted.is_empty() {
        return Ok(Counts::new());
    }
    let mut granted = Counts::new();
    let (mut nodes, mut actions) = (Vec::new(), Vec::new());
    let (mut left, mut times, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
    let rows = lock(transaction, node_events, wanted).await?;
    for (((node, action), entries), row) in wanted.iter().zip(rows) {
        let room = Room {
            left: row.room,
            at: row.refilled_at,
        };
        let (given, after) = room.take(*entries, audit_room::per_hour(*action, node_events), row.now);
        granted.insert((node.clone(), *action), given);
        nodes.push(node.clone());
        actions.push(action.as_str().to_owned());
        left.push(after.left);
        times.push(after.at);
        left_out.push(i64::from(entries - given));
    }
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "UPDATE audit_room r SET room = t.room, refilled_at = t.at, left_out = r.left_out + t.left_out,
             left_out_since = CASE WHEN t.left_out > 0 THEN COALESCE(r.left_out_since, now()) ELSE r.left_out_since END
         FROM UNNEST($1::text[], $2::text[], $3::float8[], $4::timestamptz[], $5::bigint[]) AS t (server_id, action, room, at, left_out)
         WHERE r.server_id = t.server_id AND r.action = t.action",
        [nodes.into(), actions.into(), left.into(), times.into(), left_out.into()],
    );
    transaction.execute_raw(statement).await?;
    Ok(granted)
}

/// Locks the rows of these nodes and actions, in one order everywhere, and gives one for each of `wanted`, in its order. A node that never
/// sent such an entry, or not for a day, has all its room.
async fn lock(transaction: &DatabaseTransaction, node_events: u32, wanted: &Counts) -> Result<Vec<Row>, DbErr> {
    let (mut nodes, mut actions, mut full) = (Vec::new(), Vec::new(), Vec::new());
    for (node, action) in wanted.keys() {
        nodes.push(node.clone());
        actions.push(action.as_str().to_owned());
        full.push(f64::from(audit_room::per_hour(*action, node_events)));
    }
    // An update that changes nothing, because it locks a row that is there and makes one that housekeeping deletes at this moment.
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "WITH wanted AS (
             SELECT * FROM UNNEST($1::text[], $2::text[], $3::float8[]) WITH ORDINALITY AS t (node, action, room, place)),
         locked AS (
             INSERT INTO audit_room (server_id, action, room, refilled_at)
             SELECT node, action, room, now() FROM wanted ORDER BY 1, 2
             ON CONFLICT (server_id, action) DO UPDATE SET room = audit_room.room
             RETURNING server_id, action, room, refilled_at)
         SELECT l.room, l.refilled_at, now() AS now
         FROM wanted w JOIN locked l ON l.server_id = w.node AND l.action = w.action ORDER BY w.place",
        [nodes.into(), actions.into(), full.into()],
    );
    Row::find_by_statement(statement).all(transaction).await
}

#[derive(FromQueryResult)]
struct LeftOut {
    server_id: String,
    action: String,
    left_out: i64,
    left_out_since: DateTime<Utc>,
    now: DateTime<Utc>,
}

/// Writes one entry for each node whose entries found no room for a minute or longer, however many replicas do this at once. Returns how
/// many it wrote.
pub async fn summarise(db: &DatabaseConnection) -> Result<usize, DbErr> {
    transact(db, |tx| async move { summarise_within(&tx).await }).await
}

async fn summarise_within(transaction: &DatabaseTransaction) -> Result<usize, DbErr> {
    let statement = Statement::from_string(
        transaction.get_database_backend(),
        "WITH due AS (
             SELECT server_id, action, left_out, left_out_since FROM audit_room
             WHERE left_out > 0 AND server_id IN (
                 SELECT server_id FROM audit_room WHERE left_out > 0 AND left_out_since <= now() - interval '1 minute' LIMIT 200)
             ORDER BY server_id, action FOR UPDATE),
         told AS (
             UPDATE audit_room r SET left_out = 0, left_out_since = NULL FROM due
             WHERE r.server_id = due.server_id AND r.action = due.action)
         SELECT *, now() AS now FROM due",
    );
    let mut by_node: BTreeMap<String, Vec<LeftOut>> = BTreeMap::new();
    for row in LeftOut::find_by_statement(statement).all(transaction).await? {
        by_node.entry(row.server_id.clone()).or_default().push(row);
    }
    let written = by_node.len();
    audit::record_all(transaction, by_node.iter().map(|(node, rows)| summary(node, rows))).await?;
    Ok(written)
}

fn summary(node: &str, rows: &[LeftOut]) -> Entry {
    let entries: i64 = rows.iter().map(|row| row.left_out).sum();
    let actions: serde_json::Map<String, Value> = rows
        .iter()
        .map(|row| (row.action.clone(), json!(row.left_out)))
        .collect();
    Entry::new(&Actor::system(), AuditAction::NodeEventsLeftOut, node)
        .details(format!(
            "the node caused more entries than it has room for in the trail: {entries} were not recorded"
        ))
        .after(json!({
            "since": rows.iter().map(|row| row.left_out_since).min(),
            "until": rows.iter().map(|row| row.now).max(),
            "actions": actions,
        }))
}
