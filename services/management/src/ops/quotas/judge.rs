//! Refuses users who are over their quota, and lets those in again who are not.

use chrono::{SubsecRound as _, Utc};
use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, DatabaseTransaction, DbErr, IntoActiveModel as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _,
};
use vpnmanager_entities::user;

use super::read::{Quotas, standings};
use crate::{
    app::App,
    domain::{
        actor::Actor,
        audit_action::AuditAction,
        quota::{Counted, Verdict, judge},
    },
    ops::{
        audit::{self, Entry, user_snapshot},
        publications::make_due::{Urgency, want_newest},
        transact::transact,
    },
};

/// Users that are changed in one transaction: whoever wants to change one of them waits for it.
pub(super) const BATCH: usize = 100;

/// Judges the users with these row ids, who got into another group, or have got or lost an own quota. Says whether anything was to be done about
/// one of them.
///
/// A node says what its own users transferred, and can harm them alone by saying too much: an operator sees it, and forgives it.
pub async fn judge_users(app: &App, users: &[i64]) -> Result<bool, DbErr> {
    let quotas = Quotas::of(&app.db, users).await?;
    judge_all(app, &quotas, users).await
}

/// Judges these users: reads first about whom something is to be done, and locks only those. Other replicas may do the same at this moment; each
/// change is made once. Says whether there was anybody.
pub(super) async fn judge_all(app: &App, quotas: &Quotas, users: &[i64]) -> Result<bool, DbErr> {
    let standings = standings(&app.db, quotas, users).await?;
    let due = standings.iter().filter(|(_, standing)| judge(standing).is_some());
    let due: Vec<i64> = due.map(|(id, _)| *id).collect();
    for users in due.chunks(BATCH) {
        transact(&app.db, |tx| async move { carry_out(&tx, app, users).await }).await?;
        app.wake_publishers();
    }
    Ok(!due.is_empty())
}

/// Judges these users once more, with their rows locked, in the order of their ids, and does what is to be done.
async fn carry_out(transaction: &DatabaseTransaction, app: &App, users: &[i64]) -> Result<(), DbErr> {
    let locked = user::Entity::find_living()
        .filter(user::COLUMN.id.is_in(users.iter().copied()))
        .order_by_asc(user::Column::Id)
        .lock_exclusive()
        .all(transaction)
        .await?;
    let quotas = Quotas::of(transaction, users).await?;
    let standings = standings(transaction, &quotas, users).await?;
    let mut changes = Changes::new(&app.config.server_id);
    for user in locked {
        let Some(verdict) = standings.get(&user.id).and_then(judge) else {
            continue;
        };
        match verdict {
            Verdict::Warn(counted) => changes.warn(transaction, user, &counted).await?,
            Verdict::Refuse { counted, warn } => {
                if warn {
                    changes.note_warning(&user, &counted);
                }
                changes.refuse(transaction, user, &counted).await?;
            }
            Verdict::Lift(counted) => changes.lift(transaction, user, counted.as_ref()).await?,
        }
    }
    changes.finish(transaction).await
}

/// What is changed in one transaction.
struct Changes<'a> {
    recorder: &'a str,
    refused: Vec<i64>,
    lifted: Vec<i64>,
    entries: Vec<Entry>,
}

impl<'a> Changes<'a> {
    fn new(recorder: &'a str) -> Self {
        Self {
            recorder,
            refused: Vec::new(),
            lifted: Vec::new(),
            entries: Vec::new(),
        }
    }

    fn entry(&self, action: AuditAction, user: &user::Model) -> Entry {
        Entry::new(&Actor::system(), action, self.recorder).about(&user.username)
    }

    fn note_warning(&mut self, user: &user::Model, counted: &Counted) {
        let entry = self.entry(AuditAction::UserNearQuota, user);
        self.entries.push(entry.details(in_words(counted)));
    }

    async fn warn(
        &mut self,
        transaction: &DatabaseTransaction,
        user: user::Model,
        counted: &Counted,
    ) -> Result<(), DbErr> {
        self.note_warning(&user, counted);
        let mut row = user.into_active_model();
        row.quota_warned_from = Set(Some(counted.span.first));
        row.update(transaction).await.map(drop)
    }

    async fn refuse(
        &mut self,
        transaction: &DatabaseTransaction,
        before: user::Model,
        counted: &Counted,
    ) -> Result<(), DbErr> {
        let mut row = next_revision(&before);
        row.over_quota_since = Set(Some(Utc::now().trunc_subsecs(6)));
        row.quota_warned_from = Set(Some(counted.span.first));
        let after = row.update(transaction).await?;
        self.refused.push(after.id);
        let entry = self.entry(AuditAction::UserOverQuota, &after);
        let entry = entry.details(in_words(counted)).before(user_snapshot(&before));
        self.entries.push(entry.after(user_snapshot(&after)));
        Ok(())
    }

    async fn lift(
        &mut self,
        transaction: &DatabaseTransaction,
        before: user::Model,
        counted: Option<&Counted>,
    ) -> Result<(), DbErr> {
        let mut row = next_revision(&before);
        row.over_quota_since = Set(None);
        let after = row.update(transaction).await?;
        self.lifted.push(after.id);
        let entry = self.entry(AuditAction::UserQuotaLifted, &after);
        let why = match counted {
            Some(counted) => in_words(counted),
            None => format!("the group {} has no quota", after.group_name),
        };
        let entry = entry.details(why).before(user_snapshot(&before));
        self.entries.push(entry.after(user_snapshot(&after)));
        Ok(())
    }

    /// The placements come after the users, as everywhere.
    async fn finish(self, transaction: &DatabaseTransaction) -> Result<(), DbErr> {
        for (users, urgency) in [(self.refused, Urgency::EndsAccess), (self.lifted, Urgency::Ordinary)] {
            if !users.is_empty() {
                want_newest(transaction, &users, urgency).await?;
            }
        }
        audit::record_all(transaction, self.entries).await
    }
}

pub(super) fn next_revision(before: &user::Model) -> user::ActiveModel {
    let mut row = before.clone().into_active_model();
    row.revision = Set(before.revision + 1);
    row.synced = Set(false);
    row
}

/// For people.
pub(super) fn in_words(counted: &Counted) -> String {
    let Counted { quota, span, used } = counted;
    match span.next {
        Some(_) => format!("{used} of {} bytes are used since {}", quota.bytes, span.first),
        None => format!("{used} of {} bytes are used", quota.bytes),
    }
}
