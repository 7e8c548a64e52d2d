//! Recording acks and events of nodes, many in one transaction.

use std::collections::HashMap;

use chrono::SubsecRound;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, FromQueryResult,
    QueryFilter, Statement, TransactionTrait, sea_query::OnConflict,
};
use serde_json::json;
use uuid::Uuid;
use vpnmanager_entities::{audit_log, user};
use vpnmanager_nats::{
    acks::{Ack, Issued, Outcome},
    events::{Event, EventKind},
    ids::{NodeId, UserKey},
    sync::StateDigest,
};

use super::{
    audit::Entry,
    raise_revisions::{self, Seen},
    retry,
};
use crate::{app::App, domain::actor::Actor};

/// A tombstone that a node acked, so that its message can be forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AckedTombstone {
    /// The node.
    pub node: NodeId,
    /// The user that it forgot.
    pub user: UserKey,
    /// Where the tombstone lies in the stream.
    pub sequence: u64,
}

/// What a batch of reports changed.
#[derive(Debug, Default)]
pub struct Applied {
    /// Users whose placements changed.
    pub users: Vec<UserKey>,
    /// Messages that the stream need not keep.
    pub tombstones: Vec<AckedTombstone>,
}

/// Records a batch. An ack for an older revision than wanted, or from a node where the user is not placed, changes nothing but
/// what is known of that node.
///
/// # Errors
/// When the database does not take it; nothing is recorded then.
pub async fn apply(app: &App, acks: &[Ack], events: &[Event]) -> Result<Applied, DbErr> {
    retry::on_conflict(|| async {
        let transaction = app.db.begin().await?;
        let applied = apply_acks(&transaction, acks, &app.settings.server_id).await?;
        record_events(&transaction, events).await?;
        transaction.commit().await?;
        Ok(applied)
    })
    .await
}

async fn apply_acks(transaction: &DatabaseTransaction, acks: &[Ack], recorder: &str) -> Result<Applied, DbErr> {
    let newest = newest(acks);
    if newest.is_empty() {
        return Ok(Applied::default());
    }
    let users = lock_users(transaction, &newest).await?;
    let updated = update_placements(transaction, &newest).await?;
    update_credentials(transaction, &newest).await?;
    raise_revisions::raise_within(transaction, &outrun(&newest), recorder).await?;
    mark_synced(transaction, &users).await?;
    if updated.iter().any(|placement| !placement.wanted_present) {
        complete_removals(transaction, &users, recorder).await?;
    }
    Ok(Applied {
        users: newest.iter().map(|ack| ack.user_key).collect(),
        tombstones: tombstones(updated),
    })
}

/// The last ack of each user and node.
fn newest(acks: &[Ack]) -> Vec<&Ack> {
    let mut by_placement: HashMap<(&NodeId, UserKey), &Ack> = HashMap::new();
    for ack in acks {
        let held = by_placement.entry((&ack.node, ack.user_key)).or_insert(ack);
        if ack.revision >= held.revision {
            *held = ack;
        }
    }
    by_placement.into_values().collect()
}

/// Revisions that nodes hold beyond what was sent to them.
fn outrun(acks: &[&Ack]) -> Vec<Seen> {
    let seen = acks.iter().filter_map(|ack| match ack.outcome {
        Outcome::Superseded { holds } => Some(Seen {
            user: ack.user_key,
            holds,
        }),
        Outcome::Applied { .. } | Outcome::Failed { .. } | Outcome::Refused { .. } => None,
    });
    seen.collect()
}

#[derive(FromQueryResult)]
struct UserId {
    id: i64,
}

/// Users before placements and in the order of their ids, as every change does it: no deadlock. Their placements, too, because
/// those are also written when publications are recorded.
async fn lock_users(transaction: &DatabaseTransaction, acks: &[&Ack]) -> Result<Vec<i64>, DbErr> {
    let keys: Vec<Uuid> = acks.iter().map(|ack| ack.user_key.0).collect();
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "SELECT id FROM users WHERE key = ANY($1) ORDER BY id FOR NO KEY UPDATE",
        [keys.into()],
    );
    let rows = UserId::find_by_statement(statement).all(transaction).await?;
    let users: Vec<i64> = rows.into_iter().map(|row| row.id).collect();
    let placements = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "SELECT id FROM placements WHERE user_id = ANY($1) ORDER BY id FOR NO KEY UPDATE",
        [users.clone().into()],
    );
    transaction.execute_raw(placements).await?;
    Ok(users)
}

#[derive(FromQueryResult)]
struct Updated {
    key: Uuid,
    server_id: String,
    wanted_present: bool,
    settled: bool,
    published_sequence: i64,
}

async fn update_placements(transaction: &DatabaseTransaction, acks: &[&Ack]) -> Result<Vec<Updated>, DbErr> {
    let (mut keys, mut nodes, mut revisions, mut outcomes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut errors, mut times, mut digests) = (Vec::new(), Vec::new(), Vec::new());
    for ack in acks {
        let (outcome, error) = match &ack.outcome {
            Outcome::Applied { note, .. } => ("applied", note.clone()),
            Outcome::Failed { error } => ("failed", Some(error.clone())),
            Outcome::Refused { error } => ("refused", Some(error.clone())),
            Outcome::Superseded { holds } => ("superseded", Some(format!("the node holds revision {holds}"))),
        };
        keys.push(ack.user_key.0);
        nodes.push(ack.node.to_string());
        revisions.push(ack.revision.0);
        outcomes.push(outcome.to_owned());
        errors.push(error.unwrap_or_default());
        times.push(ack.applied_at.trunc_subsecs(6));
        digests.push(StateDigest::of(ack.user_key, ack.revision).0.cast_signed());
    }
    // Users first: joined in one step, PostgreSQL without statistics looks through all placements of a node for each ack.
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "WITH a AS MATERIALIZED (
             SELECT u.id AS user_id, u.key, r.node, r.revision, r.outcome, r.error, r.at, r.digest
             FROM UNNEST($1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::timestamptz[], $7::bigint[])
                      AS r (key, node, revision, outcome, error, at, digest)
             JOIN users u ON u.key = r.key)
         UPDATE placements p SET
             applied_revision = CASE WHEN a.outcome = 'applied' THEN a.revision ELSE p.applied_revision END,
             applied_at = CASE WHEN a.outcome = 'applied' THEN a.at ELSE p.applied_at END,
             digest = CASE WHEN a.outcome <> 'applied' THEN p.digest WHEN p.wanted_present THEN a.digest ELSE 0 END,
             outcome = a.outcome,
             error = NULLIF(a.error, '')
         FROM a
         WHERE p.user_id = a.user_id AND p.server_id = a.node
           AND a.revision >= p.applied_revision AND a.revision <= p.wanted_revision
         RETURNING a.key, p.server_id, p.wanted_present, p.applied_revision = p.wanted_revision AS settled, p.published_sequence",
        [keys.into(), nodes.into(), revisions.into(), outcomes.into(), errors.into(), times.into(), digests.into()],
    );
    Updated::find_by_statement(statement).all(transaction).await
}

fn tombstones(updated: Vec<Updated>) -> Vec<AckedTombstone> {
    let tombstones = updated
        .into_iter()
        .filter(|row| row.settled && !row.wanted_present)
        .filter_map(|row| {
            Some(AckedTombstone {
                node: row.server_id.parse().ok()?,
                user: UserKey(row.key),
                sequence: u64::try_from(row.published_sequence).ok()?,
            })
        });
    tombstones.collect()
}

/// The profile that the home node made becomes the user's.
async fn update_credentials(transaction: &DatabaseTransaction, acks: &[&Ack]) -> Result<(), DbErr> {
    let issued: Vec<(&NodeId, &Issued)> = acks
        .iter()
        .filter_map(|ack| match &ack.outcome {
            Outcome::Applied {
                issued: Some(issued), ..
            } => Some((&ack.node, issued)),
            Outcome::Applied { issued: None, .. }
            | Outcome::Failed { .. }
            | Outcome::Refused { .. }
            | Outcome::Superseded { .. } => None,
        })
        .collect();
    if issued.is_empty() {
        return Ok(());
    }
    let column = |value: fn(&Issued) -> &String| -> Vec<String> {
        issued.iter().map(|(_, issued)| value(issued).clone()).collect()
    };
    let names: Vec<String> = issued
        .iter()
        .map(|(_, issued)| issued.common_name.to_string())
        .collect();
    let nodes: Vec<String> = issued.iter().map(|(node, _)| node.to_string()).collect();
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "WITH issued AS (
             UPDATE credentials c SET profile_checksum = i.checksum
             FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[]) AS i (common_name, node, checksum, path)
             WHERE c.common_name = i.common_name AND c.server_id = i.node
             RETURNING c.user_id, i.checksum, i.path, i.node)
         UPDATE users u SET checksum = issued.checksum, ovpn_path = issued.path
         FROM issued WHERE u.id = issued.user_id AND u.server_id = issued.node",
        [
            names.into(),
            nodes.into(),
            column(|issued| &issued.profile_checksum).into(),
            column(|issued| &issued.profile_path).into(),
        ],
    );
    transaction.execute_raw(statement).await.map(drop)
}

/// `synced` follows the placements.
async fn mark_synced(transaction: &DatabaseTransaction, users: &[i64]) -> Result<(), DbErr> {
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "UPDATE users u SET synced = true WHERE id = ANY($1) AND NOT synced AND removed_at IS NULL AND NOT EXISTS (
             SELECT FROM placements p WHERE p.user_id = u.id AND p.applied_revision < p.wanted_revision)",
        [users.to_vec().into()],
    );
    transaction.execute_raw(statement).await.map(drop)
}

/// A removed user goes with its last ack, and the audit trail keeps the receipt.
async fn complete_removals(transaction: &DatabaseTransaction, users: &[i64], recorder: &str) -> Result<(), DbErr> {
    let run = |sql: &'static str| {
        Statement::from_sql_and_values(transaction.get_database_backend(), sql, [users.to_vec().into()])
    };
    let left = "DELETE FROM placements p USING users u
         WHERE u.id = p.user_id AND u.id = ANY($1) AND u.removed_at IS NULL
           AND NOT p.wanted_present AND p.applied_revision >= p.wanted_revision";
    transaction.execute_raw(run(left)).await?;
    let completed = "SELECT u.id, u.username, json_agg(
                 json_build_object('server_id', p.server_id, 'applied_at', p.applied_at) ORDER BY p.id) AS nodes
         FROM users u JOIN placements p ON p.user_id = u.id
         WHERE u.id = ANY($1) AND u.removed_at IS NOT NULL
         GROUP BY u.id HAVING bool_and(p.applied_revision >= p.wanted_revision)";
    let completed = Completed::find_by_statement(run(completed)).all(transaction).await?;
    if completed.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = completed.iter().map(|user| user.id).collect();
    let receipts = completed.into_iter().map(|user| {
        let entry = Entry {
            actor: &Actor::system(),
            action: "user_removal_completed",
            username: Some(user.username),
            server_id: recorder.to_owned(),
            details: None,
            before: None,
            after: Some(json!({ "nodes": user.nodes })),
        };
        entry.into_row()
    });
    audit_log::Entity::insert_many(receipts)
        .exec_without_returning(transaction)
        .await?;
    user::Entity::delete_many()
        .filter(user::Column::Id.is_in(ids))
        .exec(transaction)
        .await
        .map(drop)
}

/// A removed user whose last node has acked.
#[derive(FromQueryResult)]
struct Completed {
    id: i64,
    username: String,
    nodes: serde_json::Value,
}

async fn record_events(transaction: &DatabaseTransaction, events: &[Event]) -> Result<(), DbErr> {
    if events.is_empty() {
        return Ok(());
    }
    let mut rows = Vec::with_capacity(events.len());
    for event in events {
        let actor = Actor::node(&event.node);
        let username = username_of(transaction, &event.kind).await?;
        let entry = Entry {
            actor: &actor,
            action: event.kind.name(),
            username,
            server_id: event.node.to_string(),
            details: None,
            before: None,
            after: serde_json::to_value(&event.kind).ok(),
        };
        rows.push(audit_log::ActiveModel {
            timestamp: Set(event.at.trunc_subsecs(6)),
            event_id: Set(Some(event.id.0)),
            ..entry.into_row()
        });
    }
    audit_log::Entity::insert_many(rows)
        .on_conflict(OnConflict::column(audit_log::Column::EventId).do_nothing().to_owned())
        .exec_without_returning(transaction)
        .await
        .map(drop)
}

async fn username_of(transaction: &DatabaseTransaction, kind: &EventKind) -> Result<Option<String>, DbErr> {
    match kind {
        EventKind::UserExpired { user_key, .. } => {
            let found = user::Entity::find_by_key(user_key.0).one(transaction).await?;
            Ok(found.map(|user| user.username))
        }
        EventKind::CommandUndecodable { .. }
        | EventKind::SessionsCut { .. }
        | EventKind::AllowListRepaired { .. }
        | EventKind::OpenvpnUp { .. }
        | EventKind::OpenvpnDown { .. } => Ok(None),
    }
}
