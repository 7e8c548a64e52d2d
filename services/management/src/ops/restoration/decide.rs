//! Carries out what an operator decided about what the fleet was told since the backup was made: in one transaction, with an entry of the trail for
//! each user.

use std::collections::HashMap;

use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, EntityTrait, FromQueryResult,
    QueryFilter as _, QuerySelect as _, Statement, Value,
};
use serde_json::json;
use vpnmanager_entities::user;
use vpnmanager_nats::{
    device::DeviceName,
    ids::{CommonName, NodeId},
    username::Username,
};

pub use super::work::Keep;
use super::{
    assess::Judged,
    mark::Undecided,
    old_certificates,
    work::{Change, Ended, Work},
};
use crate::{
    domain::{actor::Actor, audit_action::AuditAction},
    ops::{
        audit::{self, Entry, user_snapshot},
        credentials::give::{NewCredential, give_credentials},
        keys::revoke_join_token::CLOSED,
        links::state::IS_OPEN,
        publications::make_due::{Urgency, want_newest},
        transact::transact,
        users::remove::remove_within,
    },
};

/// Rows of the trail in one statement.
const CHUNK: usize = 1000;

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Decided {
    /// Users whose revision was raised above that of the fleet.
    pub raised: usize,
    /// Users who lost access, or part of it.
    pub ended: usize,
    /// Users who were suspended because nobody knows whether they were removed.
    pub suspended: usize,
    /// Users who were removed.
    pub removed: usize,
    /// Devices that get new profiles, because the last one that they had was made since.
    pub reissued: usize,
    /// Open join tokens and links that are open no more: they may have been used since.
    pub closed: u64,
}

/// Why nothing was decided. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum DecideError {
    /// Somebody else was faster.
    #[error("somebody has decided already")]
    Decided,
    /// The database failed.
    #[error("recording the decision failed")]
    Database(#[from] DbErr),
}

/// Carries the decision out, and takes the mark away. `judged` is what was found a moment ago.
pub async fn decide(
    db: &DatabaseConnection,
    recorder: &str,
    undecided: &Undecided,
    keep: Keep,
    judged: &[Judged],
) -> Result<Decided, DecideError> {
    transact(db, |tx| async move {
        let deciding = Deciding {
            transaction: &tx,
            recorder,
            actor: Actor::command(),
        };
        // It takes as long as it takes, whatever the role says of statements.
        tx.execute_unprepared("SET LOCAL statement_timeout = 0").await?;
        deciding.take_mark(undecided, keep).await?;
        let decided = deciding.carry_out(keep, judged).await?;
        deciding.tell(undecided, keep, decided).await?;
        Ok::<_, DecideError>(decided)
    })
    .await
}

struct Deciding<'a> {
    transaction: &'a DatabaseTransaction,
    recorder: &'a str,
    actor: Actor,
}

#[derive(FromQueryResult)]
struct Raised {
    id: i64,
    username: Username,
    before: i64,
    after: i64,
}

#[derive(FromQueryResult)]
struct Lacking {
    user_id: i64,
    username: Username,
    server_id: NodeId,
    device: DeviceName,
}

impl Deciding<'_> {
    async fn take_mark(&self, undecided: &Undecided, keep: Keep) -> Result<(), DecideError> {
        let done = self.run(
            "UPDATE restorations SET decided_at = now(), kept = $2 WHERE id = $1 AND decided_at IS NULL",
            [undecided.id.into(), keep.as_str().into()],
        );
        match done.await? {
            0 => Err(DecideError::Decided),
            _ => Ok(()),
        }
    }

    async fn carry_out(&self, keep: Keep, judged: &[Judged]) -> Result<Decided, DbErr> {
        let Work {
            raised,
            ended,
            removed,
            suspended,
        } = Work::of(keep, judged);
        let mut decided = Decided {
            raised: raised.len(),
            ended: ended.len() - suspended,
            suspended,
            removed: removed.len(),
            ..Decided::default()
        };
        self.raise(&raised).await?;
        decided.reissued = self.end(&ended).await?;
        // Nodes are told of the new revision with the removal.
        self.write(&removed).await?;
        for change in removed {
            self.remove(change.id).await?;
        }
        if keep.is_fleet() {
            decided.closed = self.close_what_is_open().await?;
        }
        Ok(decided)
    }

    /// Raises the revisions, and nothing else.
    async fn raise(&self, changes: &[Change]) -> Result<(), DbErr> {
        let raised = self.write(changes).await?;
        let ids: Vec<i64> = raised.iter().map(|user| user.id).collect();
        want_newest(self.transaction, &ids, Urgency::Ordinary).await?;
        let entries = raised.iter().map(|user| {
            self.entry(AuditAction::UserRevisionRaised)
                .about(&user.username)
                .details(
                    "a node or the stream holds a newer revision than the backup that the database was restored from",
                )
                .before(json!({ "revision": user.before }))
                .after(json!({ "revision": user.after }))
        });
        self.record(entries.collect()).await
    }

    /// Ends what ended since. Returns how many devices get new profiles.
    async fn end(&self, ended: &[Ended<'_>]) -> Result<usize, DbErr> {
        if ended.is_empty() {
            return Ok(0);
        }
        let ids: Vec<i64> = ended.iter().map(|one| one.change.id).collect();
        let before = self.models(&ids).await?;
        let revoked = ended.iter().flat_map(|one| one.revoked);
        let revoked: Vec<String> = revoked.map(ToString::to_string).collect();
        self.run(
            "UPDATE credentials SET revoked_at = now() WHERE common_name = ANY($1) AND revoked_at IS NULL",
            [revoked.clone().into()],
        )
        .await?;
        let renewed = ended.iter().filter(|one| one.renewed);
        let reissued = self.renew(revoked, renewed.map(|one| one.change.id).collect()).await?;
        old_certificates::end(self.transaction, ended).await?;
        self.write(ended.iter().map(|one| &one.change)).await?;
        want_newest(self.transaction, &ids, Urgency::EndsAccess).await?;
        let after = self.models(&ids).await?;
        let entries = ended.iter().filter_map(|one| {
            let change = &one.change;
            let (before, after) = (before.get(&change.id)?, after.get(&change.id)?);
            let action = match change.suspend {
                true => AuditAction::UserSuspended,
                false => AuditAction::UserChanged,
            };
            let entry = self
                .entry(action)
                .about(&after.username)
                .details(format!(
                    "access ended after the backup that the database was restored from{}",
                    details(one)
                ))
                .before(user_snapshot(before))
                .after(user_snapshot(after));
            Some(entry)
        });
        self.record(entries.collect()).await?;
        Ok(reissued)
    }

    /// Gives new credentials to devices that have none any more, of users who got others since. The home makes the profiles.
    async fn renew(&self, revoked: Vec<String>, users: Vec<i64>) -> Result<usize, DbErr> {
        let statement = Statement::from_sql_and_values(
            self.transaction.get_database_backend(),
            "SELECT DISTINCT u.id AS user_id, u.username, u.server_id, c.device FROM credentials c JOIN users u ON u.id = c.user_id
             WHERE c.common_name = ANY($1) AND u.id = ANY($2) AND u.removed_at IS NULL AND NOT EXISTS (
                 SELECT FROM credentials v WHERE v.user_id = c.user_id AND v.device = c.device AND v.revoked_at IS NULL)
             ORDER BY u.id, c.device",
            [revoked.into(), users.into()],
        );
        let lacking = Lacking::find_by_statement(statement).all(self.transaction).await?;
        let new: Vec<NewCredential> = lacking
            .iter()
            .map(|one| NewCredential::new(one.user_id, &one.username, &one.device, &one.server_id))
            .collect();
        give_credentials(self.transaction, &new).await?;
        let defaults = lacking.iter().filter(|one| one.device.is_default());
        let defaults: Vec<i64> = defaults.map(|one| one.user_id).collect();
        self.run(
            "UPDATE users SET checksum = NULL, ovpn_path = NULL WHERE id = ANY($1)",
            [defaults.into()],
        )
        .await?;
        Ok(new.len())
    }

    async fn remove(&self, id: i64) -> Result<(), DbErr> {
        let found = user::Entity::find_by_id(id)
            .lock_exclusive()
            .one(self.transaction)
            .await?;
        if let Some(user) = found.filter(|user| user.removed_at.is_none()) {
            remove_within(self.transaction, self.recorder, &self.actor, user).await?;
        }
        Ok(())
    }

    /// What may have been used since the backup was made would be good a second time.
    async fn close_what_is_open(&self) -> Result<u64, DbErr> {
        let tokens = format!("UPDATE join_tokens t SET {CLOSED} WHERE t.used_at IS NULL AND t.expires_at > now()");
        let links = format!("UPDATE profile_links l SET revoked_at = now() WHERE {IS_OPEN}");
        Ok(self.run(&tokens, []).await? + self.run(&links, []).await?)
    }

    /// Writes the rows of the users in the order of their ids, each with a revision above those of file and fleet.
    async fn write<'c>(&self, changes: impl IntoIterator<Item = &'c Change>) -> Result<Vec<Raised>, DbErr> {
        let (mut ids, mut holds, mut suspends, mut ends) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for change in changes {
            ids.push(change.id);
            holds.push(change.holds.0);
            suspends.push(change.suspend);
            ends.push(change.ends.map_or(i64::MAX, |end| end.timestamp_micros()));
        }
        let statement = Statement::from_sql_and_values(
            self.transaction.get_database_backend(),
            "WITH change AS (
                 SELECT c.id, c.holds, c.suspend,
                        CASE WHEN c.ends < $5 THEN 'epoch'::timestamptz + c.ends * interval '1 microsecond' END AS ends
                 FROM UNNEST($1::bigint[], $2::bigint[], $3::boolean[], $4::bigint[]) AS c (id, holds, suspend, ends)),
             locked AS MATERIALIZED (
                 SELECT u.id, u.revision AS before FROM users u JOIN change USING (id) ORDER BY u.id FOR UPDATE OF u)
             UPDATE users u SET revision = GREATEST(u.revision, change.holds) + 1, synced = false,
                 active = u.active AND NOT change.suspend, expires_at = LEAST(u.expires_at, change.ends)
             FROM change JOIN locked USING (id) WHERE u.id = change.id
             RETURNING u.id, u.username, locked.before, u.revision AS after",
            [ids.into(), holds.into(), suspends.into(), ends.into(), i64::MAX.into()],
        );
        Raised::find_by_statement(statement).all(self.transaction).await
    }

    async fn models(&self, ids: &[i64]) -> Result<HashMap<i64, user::Model>, DbErr> {
        let mut models = HashMap::with_capacity(ids.len());
        for chunk in ids.chunks(CHUNK) {
            let found = user::Entity::find().filter(user::Column::Id.eq_any(chunk.iter().copied()));
            let found = found.all(self.transaction).await?;
            models.extend(found.into_iter().map(|user| (user.id, user)));
        }
        Ok(models)
    }

    async fn run(&self, sql: &str, values: impl IntoIterator<Item = Value>) -> Result<u64, DbErr> {
        let statement = Statement::from_sql_and_values(self.transaction.get_database_backend(), sql, values);
        Ok(self.transaction.execute_raw(statement).await?.rows_affected())
    }

    fn entry(&self, action: AuditAction) -> Entry {
        Entry::new(&self.actor, action, self.recorder)
    }

    async fn record(&self, entries: Vec<Entry>) -> Result<(), DbErr> {
        let mut entries = entries.into_iter();
        loop {
            let chunk: Vec<Entry> = entries.by_ref().take(CHUNK).collect();
            if chunk.is_empty() {
                return Ok(());
            }
            audit::record_all(self.transaction, chunk).await?;
        }
    }

    async fn tell(&self, undecided: &Undecided, keep: Keep, decided: Decided) -> Result<(), DbErr> {
        let Decided {
            raised,
            ended,
            suspended,
            removed,
            reissued,
            closed,
        } = decided;
        let entry = self
            .entry(AuditAction::DatabaseRestorationDecided)
            .details(format!("kept: {}; restored from {}", keep.as_str(), undecided.source_file))
            .after(json!({
                "kept": keep.as_str(), "made_at": undecided.made_at, "raised": raised, "ended": ended, "suspended": suspended,
                "removed": removed, "reissued": reissued, "closed": closed,
            }));
        audit::record_one(self.transaction, entry).await
    }
}

/// Which credentials and certificates ended, for the trail.
fn details(ended: &Ended<'_>) -> String {
    let mut details = String::new();
    let revoked: Vec<&str> = ended.revoked.iter().map(CommonName::as_str).collect();
    let old = ended.old.iter();
    let old: Vec<String> = old.map(|old| format!("{} of {}", old.common_name, old.node)).collect();
    for (what, names) in [("revoked", revoked.join(", ")), ("old certificates", old.join(", "))] {
        if !names.is_empty() {
            details.push_str(&format!("; {what}: {names}"));
        }
    }
    details
}
