//! Recording acks: what each node has of its users, and what follows for the users.

use std::collections::HashMap;

use chrono::SubsecRound;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, FromQueryResult, QueryFilter, QueryOrder,
    QuerySelect, Statement, sea_query::LockType,
};
use serde_json::json;
use vpnmanager_entities::{audit_log, placement, user};
use vpnmanager_nats::{
    acks::{Ack, Issued, Outcome},
    ids::{NodeId, UserKey},
    sync::StateDigest,
};

use crate::domain::actor::Actor;
use crate::ops::{
    audit::Entry,
    publications::raise_revisions::{self, Seen},
    reports::apply::{AckedTombstone, Applied},
};

/// Records acks in a transaction of the caller.
///
/// # Errors
/// When the database does not take it.
pub(super) async fn apply_acks(
    transaction: &DatabaseTransaction,
    acks: &[&Ack],
    recorder: &str,
) -> Result<Applied, DbErr> {
    let newest = newest(acks);
    if newest.is_empty() {
        return Ok(Applied::default());
    }
    let mut held = Held::lock(transaction, &newest).await?;
    let taken = held.take(&newest);
    update_placements(transaction, &taken).await?;
    let profiles = update_credentials(transaction, &newest).await?;
    update_users(transaction, &held, profiles).await?;
    raise_revisions::raise_within(transaction, &outrun(&newest), recorder).await?;
    if taken.iter().any(|taken| !taken.placement.wanted_present) {
        let ids: Vec<i64> = held.users.iter().map(|user| user.id).collect();
        complete_removals(transaction, &ids, recorder).await?;
    }
    Ok(Applied {
        users: newest.iter().map(|ack| ack.user_key).collect(),
        tombstones: tombstones(&taken),
    })
}

/// The last ack of each user and node.
fn newest<'a>(acks: &[&'a Ack]) -> Vec<&'a Ack> {
    let mut by_placement: HashMap<(&NodeId, UserKey), &Ack> = HashMap::new();
    for &ack in acks {
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

/// The users of a batch with all their placements, locked.
struct Held {
    users: Vec<user::Model>,
    placements: HashMap<i64, Vec<placement::Model>>,
}

/// An ack with the placement that it is about, as it is after it.
struct Taken<'a> {
    ack: &'a Ack,
    placement: placement::Model,
}

impl Held {
    /// Users before placements and in the order of their ids, as every change does it: no deadlock.
    async fn lock(transaction: &DatabaseTransaction, acks: &[&Ack]) -> Result<Self, DbErr> {
        let users = user::Entity::find()
            .filter(user::Column::Key.eq_any(acks.iter().map(|ack| ack.user_key.0)))
            .order_by_asc(user::Column::Id)
            .lock(LockType::NoKeyUpdate)
            .all(transaction)
            .await?;
        let rows = placement::Entity::find()
            .filter(placement::Column::UserId.eq_any(users.iter().map(|user| user.id)))
            .order_by_asc(placement::Column::Id)
            .lock(LockType::NoKeyUpdate)
            .all(transaction)
            .await?;
        let mut placements: HashMap<i64, Vec<placement::Model>> = HashMap::new();
        for row in rows {
            placements.entry(row.user_id).or_default().push(row);
        }
        Ok(Self { users, placements })
    }

    /// The acks that say something of a placement: not older than what was said before, not newer than what was asked.
    fn take<'a>(&mut self, acks: &[&'a Ack]) -> Vec<Taken<'a>> {
        let ids: HashMap<UserKey, i64> = self.users.iter().map(|user| (UserKey(user.key), user.id)).collect();
        let mut taken = Vec::with_capacity(acks.len());
        for ack in acks {
            let placements = ids.get(&ack.user_key).and_then(|id| self.placements.get_mut(id));
            let Some(placement) = placements
                .into_iter()
                .flatten()
                .find(|placement| placement.server_id == ack.node.as_str())
                .filter(|placement| (placement.applied_revision..=placement.wanted_revision).contains(&ack.revision.0))
            else {
                continue;
            };
            if let Outcome::Applied { .. } = ack.outcome {
                placement.applied_revision = ack.revision.0;
                placement.digest = if placement.wanted_present {
                    StateDigest::of(ack.user_key, ack.revision).0.cast_signed()
                } else {
                    0
                };
            }
            taken.push(Taken {
                ack,
                placement: placement.clone(),
            });
        }
        taken
    }

    /// Whether every node has what it should have of the user.
    fn is_settled(&self, user: i64) -> bool {
        let mut placements = self.placements.get(&user).into_iter().flatten();
        placements.all(is_settled)
    }
}

fn is_settled(placement: &placement::Model) -> bool {
    placement.applied_revision >= placement.wanted_revision
}

async fn update_placements(transaction: &DatabaseTransaction, taken: &[Taken<'_>]) -> Result<(), DbErr> {
    if taken.is_empty() {
        return Ok(());
    }
    let (mut ids, mut revisions, mut digests) = (Vec::new(), Vec::new(), Vec::new());
    let (mut outcomes, mut errors, mut times) = (Vec::new(), Vec::new(), Vec::new());
    for Taken { ack, placement } in taken {
        let (outcome, error) = match &ack.outcome {
            Outcome::Applied { note, .. } => ("applied", note.clone()),
            Outcome::Failed { error } => ("failed", Some(error.clone())),
            Outcome::Refused { error } => ("refused", Some(error.clone())),
            Outcome::Superseded { holds } => ("superseded", Some(format!("the node holds revision {holds}"))),
        };
        ids.push(placement.id);
        revisions.push(placement.applied_revision);
        digests.push(placement.digest);
        outcomes.push(outcome.to_owned());
        errors.push(error.unwrap_or_default());
        times.push(ack.applied_at.trunc_subsecs(6));
    }
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "UPDATE placements p SET applied_revision = r.revision, digest = r.digest, outcome = r.outcome, error = NULLIF(r.error, ''),
             applied_at = CASE WHEN r.outcome = 'applied' THEN r.at ELSE p.applied_at END
         FROM UNNEST($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::timestamptz[])
                  AS r (id, revision, digest, outcome, error, at)
         WHERE p.id = r.id",
        [ids.into(), revisions.into(), digests.into(), outcomes.into(), errors.into(), times.into()],
    );
    transaction.execute_raw(statement).await.map(drop)
}

fn tombstones(taken: &[Taken<'_>]) -> Vec<AckedTombstone> {
    let tombstones = taken
        .iter()
        .filter(|taken| !taken.placement.wanted_present && is_settled(&taken.placement))
        .filter_map(|Taken { ack, placement }| {
            Some(AckedTombstone {
                node: ack.node.clone(),
                user: ack.user_key,
                sequence: u64::try_from(placement.published_sequence).ok()?,
            })
        });
    tombstones.collect()
}

/// The profile that a node made of a credential which is homed there.
#[derive(FromQueryResult)]
struct MadeProfile {
    user_id: i64,
    server_id: String,
    checksum: String,
    path: String,
}

async fn update_credentials(transaction: &DatabaseTransaction, acks: &[&Ack]) -> Result<Vec<MadeProfile>, DbErr> {
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
        return Ok(Vec::new());
    }
    let column =
        |value: fn(&Issued) -> String| -> Vec<String> { issued.iter().map(|(_, issued)| value(issued)).collect() };
    let nodes: Vec<String> = issued.iter().map(|(node, _)| node.to_string()).collect();
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "UPDATE credentials c SET profile_checksum = i.checksum
         FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[]) AS i (common_name, node, checksum, path)
         WHERE c.common_name = i.common_name AND c.server_id = i.node AND c.user_id IS NOT NULL
         RETURNING c.user_id, c.server_id, i.checksum, i.path",
        [
            column(|issued| issued.common_name.to_string()).into(),
            nodes.into(),
            column(|issued| issued.profile_checksum.clone()).into(),
            column(|issued| issued.profile_path.clone()).into(),
        ],
    );
    MadeProfile::find_by_statement(statement).all(transaction).await
}

/// The profile of the home node becomes the user's, and `synced` follows the placements.
async fn update_users(transaction: &DatabaseTransaction, held: &Held, profiles: Vec<MadeProfile>) -> Result<(), DbErr> {
    let mut profiles: HashMap<(i64, String), MadeProfile> = profiles
        .into_iter()
        .map(|made| ((made.user_id, made.server_id.clone()), made))
        .collect();
    let (mut ids, mut synced, mut checksums, mut paths) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for user in &held.users {
        let is_synced = user.synced || (user.removed_at.is_none() && held.is_settled(user.id));
        let made = profiles.remove(&(user.id, user.server_id.clone()));
        if is_synced == user.synced && made.is_none() {
            continue;
        }
        let (checksum, path) = made.map(|made| (made.checksum, made.path)).unwrap_or_default();
        ids.push(user.id);
        synced.push(is_synced);
        checksums.push(checksum);
        paths.push(path);
    }
    if ids.is_empty() {
        return Ok(());
    }
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "UPDATE users u SET synced = s.synced, checksum = COALESCE(NULLIF(s.checksum, ''), u.checksum),
             ovpn_path = COALESCE(NULLIF(s.path, ''), u.ovpn_path)
         FROM UNNEST($1::bigint[], $2::boolean[], $3::text[], $4::text[]) AS s (id, synced, checksum, path)
         WHERE u.id = s.id",
        [ids.into(), synced.into(), checksums.into(), paths.into()],
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
        .filter(user::Column::Id.eq_any(ids))
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
