//! Records acks in the placements, and what follows for the users.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, FromQueryResult, QueryFilter, QueryOrder,
    QuerySelect, Statement,
    sea_query::{LockBehavior, LockType},
};
use vpnmanager_entities::{placement, user};
use vpnmanager_nats::{
    acks::{Ack, Outcome},
    device::DeviceName,
    ids::{CommonName, NodeId, UserKey},
};

use crate::{
    domain::acks,
    ops::{
        busy::Busy,
        placement::withdraw::end_withdrawals,
        publications::{
            claim::LEASE,
            raise_revisions::{self, Seen},
        },
        users::end_removals::end_removals,
    },
};

/// A tombstone that a node acked, so that its message can be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AckedTombstone {
    /// The node.
    pub node: NodeId,
    /// The user that it removed.
    pub user: UserKey,
    /// The stream sequence of the tombstone; `None`: nobody holds the user any more, and whatever the stream holds is of no use.
    pub sequence: Option<u64>,
}

/// An ack that changed a placement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acked {
    /// What became of the command.
    pub outcome: placement::Outcome,
    /// When the revision that it answers was published, or is about to be recorded as published; `None` where it came again, another one was
    /// published since, or none.
    pub published_at: Option<DateTime<Utc>>,
}

/// What a batch of reports changed.
#[derive(Debug, Default)]
pub struct Applied {
    /// Users whose placements changed.
    pub users: Vec<UserKey>,
    /// Tombstones that the stream need not keep.
    pub tombstones: Vec<AckedTombstone>,
    /// The acks that changed something.
    pub acked: Vec<Acked>,
    /// Users whose acks were left out, because another transaction is changing them.
    pub busy: HashSet<UserKey>,
}

/// Records acks in the transaction of the caller.
pub(super) async fn apply_acks(
    transaction: &DatabaseTransaction,
    acks: &[&Ack],
    recorder: &str,
    busy: Busy,
) -> Result<Applied, DbErr> {
    let mut newest = acks::newest(acks);
    if newest.is_empty() {
        return Ok(Applied::default());
    }
    let mut held = Held::lock(transaction, &newest, busy).await?;
    let busy = held.left_out(transaction, &newest).await?;
    newest.retain(|ack| !busy.contains(&ack.user_key));
    let taken = held.take(&newest);
    update_placements(transaction, &taken).await?;
    let profiles = update_credentials(transaction, &newest, &held).await?;
    update_users(transaction, &held, profiles).await?;
    let seen: Vec<Seen> = taken.iter().filter_map(|taken| taken.outrun).collect();
    raise_revisions::raise_for_nodes(transaction, &seen, recorder).await?;
    if taken.iter().any(|taken| !taken.placement.wanted_present) {
        let ids: Vec<i64> = held.users.iter().map(|user| user.id).collect();
        end_removals(transaction, &ids, recorder).await?;
        end_withdrawals(transaction, &ids).await?;
    }
    Ok(Applied {
        users: newest.iter().map(|ack| ack.user_key).collect(),
        tombstones: tombstones(&taken).chain(held.left_behind(&newest)).collect(),
        acked: taken.iter().filter_map(acked).collect(),
        busy,
    })
}

/// The users of a batch with all their placements, locked.
struct Held {
    users: Vec<user::Model>,
    placements: HashMap<i64, Vec<placement::Model>>,
}

/// An ack, and its placement after it.
struct Taken<'a> {
    ack: &'a Ack,
    placement: placement::Model,
    /// A newer revision that the node holds.
    outrun: Option<Seen>,
    /// Whether its revision was not applied before: an ack may come again.
    is_first: bool,
}

impl Held {
    /// Locks the rows. Every change locks users before placements, and in the order of their ids, so there is no deadlock.
    async fn lock(transaction: &DatabaseTransaction, acks: &[&Ack], busy: Busy) -> Result<Self, DbErr> {
        let users = user::Entity::find()
            .filter(user::Column::Key.eq_any(acks.iter().map(|ack| ack.user_key)))
            .order_by_asc(user::Column::Id);
        let users = match busy {
            Busy::LeaveOut => users.lock_with_behavior(LockType::NoKeyUpdate, LockBehavior::SkipLocked),
            Busy::Await => users.lock(LockType::NoKeyUpdate),
        };
        let users = users.all(transaction).await?;
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

    /// The users of these acks that are there and not locked.
    async fn left_out(&self, transaction: &DatabaseTransaction, acks: &[&Ack]) -> Result<HashSet<UserKey>, DbErr> {
        let held: HashSet<UserKey> = self.users.iter().map(|user| user.key).collect();
        let others = acks.iter().map(|ack| ack.user_key).filter(|key| !held.contains(key));
        let others: Vec<UserKey> = others.collect();
        if others.is_empty() {
            return Ok(HashSet::new());
        }
        let there: Vec<UserKey> = user::Entity::find()
            .select_only()
            .column(user::Column::Key)
            .filter(user::Column::Key.eq_any(others))
            .into_tuple()
            .all(transaction)
            .await?;
        Ok(there.into_iter().collect())
    }

    /// Applies the acks to the placements, and returns those that changed one.
    fn take<'a>(&mut self, acks: &[&'a Ack]) -> Vec<Taken<'a>> {
        let ids: HashMap<UserKey, i64> = self.users.iter().map(|user| (user.key, user.id)).collect();
        let mut taken = Vec::with_capacity(acks.len());
        for ack in acks {
            let placements = ids.get(&ack.user_key).and_then(|id| self.placements.get_mut(id));
            let placement = placements
                .into_iter()
                .flatten()
                .find(|placement| placement.server_id == ack.node);
            if let Some(placement) = placement
                && let Some(after) = acks::follow(placement, ack)
            {
                let outrun = acks::outruns(placement, ack).map(|holds| Seen {
                    user: ack.user_key,
                    holds,
                });
                let is_first = placement.applied_revision < ack.revision.0;
                *placement = after.clone();
                taken.push(Taken {
                    ack,
                    placement: after,
                    outrun,
                    is_first,
                });
            }
        }
        taken
    }

    /// The tombstones of users whom nobody holds any more: a node that was asked directly had applied one before it was in the stream.
    fn left_behind(&self, acks: &[&Ack]) -> impl Iterator<Item = AckedTombstone> {
        let unknown = acks
            .iter()
            .filter(|ack| self.users.iter().all(|user| user.key != ack.user_key));
        unknown.map(|ack| AckedTombstone {
            node: ack.node.clone(),
            user: ack.user_key,
            sequence: None,
        })
    }

    fn placements_of(&self, user: i64) -> &[placement::Model] {
        self.placements.get(&user).map_or(&[], Vec::as_slice)
    }
}

async fn update_placements(transaction: &DatabaseTransaction, taken: &[Taken<'_>]) -> Result<(), DbErr> {
    if taken.is_empty() {
        return Ok(());
    }
    let (mut ids, mut revisions, mut digests) = (Vec::new(), Vec::new(), Vec::new());
    let (mut outcomes, mut errors, mut times) = (Vec::new(), Vec::new(), Vec::new());
    for Taken { ack, placement, .. } in taken {
        ids.push(placement.id);
        revisions.push(placement.applied_revision);
        digests.push(placement.digest);
        outcomes.push(placement.outcome.map_or("", placement::Outcome::as_str).to_owned());
        errors.push(placement.error.clone().unwrap_or_default());
        times.push(ack.applied_at.trunc_subsecs(6));
    }
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        // The array of errors holds no NULL: an empty text stands for it.
        "UPDATE placements p SET applied_revision = r.revision, digest = r.digest, outcome = r.outcome, error = NULLIF(r.error, ''),
             applied_at = CASE WHEN r.outcome = 'applied' THEN r.at ELSE p.applied_at END,
             urgent_since = CASE WHEN r.revision < p.wanted_revision THEN p.urgent_since END
         FROM UNNEST($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::timestamptz[])
                  AS r (id, revision, digest, outcome, error, at)
         WHERE p.id = r.id",
        [ids.into(), revisions.into(), digests.into(), outcomes.into(), errors.into(), times.into()],
    );
    transaction.execute_raw(statement).await.map(drop)
}

fn acked(taken: &Taken<'_>) -> Option<Acked> {
    let placement = &taken.placement;
    let published_at = if placement.published_revision == taken.ack.revision.0 {
        placement.published_at
    } else {
        // Fast acks come before the record of their publication: the lease says when that began.
        let is_leased = placement.lease_until > DateTime::UNIX_EPOCH;
        is_leased.then(|| placement.lease_until - LEASE)
    };
    Some(Acked {
        outcome: placement.outcome?,
        published_at: published_at.filter(|_| taken.is_first),
    })
}

fn tombstones(taken: &[Taken<'_>]) -> impl Iterator<Item = AckedTombstone> {
    taken
        .iter()
        .filter(|taken| !taken.placement.wanted_present && acks::is_settled(&taken.placement))
        .filter_map(|Taken { ack, placement, .. }| {
            Some(AckedTombstone {
                node: ack.node.clone(),
                user: ack.user_key,
                sequence: Some(u64::try_from(placement.published_sequence).ok()?),
            })
        })
}

/// A profile that an ack tells of.
struct ToldProfile<'a> {
    ack: &'a Ack,
    common_name: &'a CommonName,
    checksum: &'a str,
    /// Empty: it follows from that of the first.
    path: &'a str,
}

/// The profiles that the ack tells of.
fn told_by(ack: &Ack) -> Vec<ToldProfile<'_>> {
    match &ack.outcome {
        Outcome::Applied {
            issued,
            further,
            note: _,
        } => {
            let first = issued.iter().map(|issued| ToldProfile {
                ack,
                common_name: &issued.common_name,
                checksum: &issued.profile_checksum,
                path: &issued.profile_path,
            });
            let further = further.iter().map(|issued| ToldProfile {
                ack,
                common_name: &issued.common_name,
                checksum: &issued.profile_checksum,
                path: "",
            });
            first.chain(further).collect()
        }
        Outcome::Failed { .. } | Outcome::Refused { .. } | Outcome::Superseded { .. } => Vec::new(),
    }
}

/// A profile that the home node of a credential issued.
#[derive(FromQueryResult)]
struct MadeProfile {
    user_id: i64,
    device: DeviceName,
    server_id: NodeId,
    /// Of the command that was answered.
    revision: i64,
    checksum: String,
    path: String,
}

/// Records the checksums of profiles. Returns the profiles of the devices `default`.
async fn update_credentials(
    transaction: &DatabaseTransaction,
    acks: &[&Ack],
    held: &Held,
) -> Result<Vec<MadeProfile>, DbErr> {
    let told: Vec<ToldProfile<'_>> = acks.iter().flat_map(|ack| told_by(ack)).collect();
    if told.is_empty() {
        return Ok(Vec::new());
    }
    let column = |value: fn(&ToldProfile<'_>) -> String| -> Vec<String> { told.iter().map(value).collect() };
    let revisions: Vec<i64> = told.iter().map(|told| told.ack.revision.0).collect();
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "UPDATE credentials c SET profile_checksum = i.checksum
         FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[]) AS i (common_name, node, checksum, path, revision)
         WHERE c.common_name = i.common_name AND c.server_id = i.node AND c.user_id = ANY($6)
         RETURNING c.user_id, c.device, c.server_id, i.revision, i.checksum, i.path",
        [
            column(|told| told.common_name.to_string()).into(),
            column(|told| told.ack.node.to_string()).into(),
            column(|told| told.checksum.to_owned()).into(),
            column(|told| told.path.to_owned()).into(),
            revisions.into(),
            // Credentials come after their users, which are locked.
            held.users.iter().map(|user| user.id).collect::<Vec<i64>>().into(),
        ],
    );
    let mut made = MadeProfile::find_by_statement(statement).all(transaction).await?;
    made.retain(|made| made.device.is_default());
    Ok(made)
}

/// Those of these users who have a device whose current credential has no profile yet. `domain/device.rs` says which credential is current:
/// change both.
async fn without_profile(transaction: &DatabaseTransaction, users: Vec<i64>) -> Result<HashSet<i64>, DbErr> {
    if users.is_empty() {
        return Ok(HashSet::new());
    }
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "SELECT DISTINCT u.id FROM users u CROSS JOIN LATERAL (
             SELECT DISTINCT ON (c.device) c.profile_checksum FROM credentials c
             WHERE c.user_id = u.id AND c.server_id = u.server_id AND c.revoked_at IS NULL
             ORDER BY c.device, c.id DESC) AS newest
         WHERE u.id = ANY($1) AND newest.profile_checksum IS NULL",
        [users.into()],
    );
    let lacking = Lacking::find_by_statement(statement).all(transaction).await?;
    Ok(lacking.into_iter().map(|user| user.id).collect())
}

#[derive(FromQueryResult)]
struct Lacking {
    id: i64,
}

/// Records the profile that each user's home node made for the device `default`, and sets `synced` from the placements and the profiles of all
/// devices. The answer to an earlier command may name a profile that the user has no more.
async fn update_users(transaction: &DatabaseTransaction, held: &Held, profiles: Vec<MadeProfile>) -> Result<(), DbErr> {
    let mut profiles: HashMap<(i64, NodeId), MadeProfile> = profiles
        .into_iter()
        .map(|made| ((made.user_id, made.server_id.clone()), made))
        .collect();
    let is_synced = |user: &user::Model, has_profiles| acks::is_synced(user, held.placements_of(user.id), has_profiles);
    let settled = held.users.iter().filter(|user| !user.synced && is_synced(user, true));
    let lacking = without_profile(transaction, settled.map(|user| user.id).collect()).await?;
    let (mut ids, mut synced, mut checksums, mut paths) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for user in &held.users {
        let made = profiles.remove(&(user.id, user.server_id.clone()));
        let made = made.filter(|made| made.revision == user.revision);
        let is_synced = is_synced(user, !lacking.contains(&user.id));
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
