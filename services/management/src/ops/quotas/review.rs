//! Looks through users of whom no report tells: those who are over a quota, the members of a group whose quota was changed, and at a start those
//! with an own quota.

use std::collections::BTreeMap;

use sea_orm::{DatabaseConnection, DbErr, FromQueryResult, Statement, Value};
use vpnmanager_nats::groups::GroupName;

use super::{
    judge::{judge_all, judge_users},
    read::{Quotas, quotas_of_groups},
    settle::settle_groups,
};
use crate::{app::App, domain::quota::Quota};

/// Users that are read at once.
const BATCH: i64 = 500;

/// What was reviewed: the quotas by which the members of groups were judged last. Each replica has its own.
#[derive(Debug, Default)]
pub struct Review {
    judged_by: BTreeMap<GroupName, Quota>,
    /// Those with an own quota were judged.
    has_judged_own: bool,
}

#[derive(FromQueryResult)]
struct UserId {
    id: i64,
}

impl Review {
    /// Lifts whoever is not over a quota any more: the period has turned, or the quota or the group is another one. Judges all members of groups
    /// whose quota is new or another one, and in its first run those of every group with one, and all users with an own one: a replica may have
    /// died between recording reports and judging by them, or between a change and that. Users who get into a group otherwise, and those whose own
    /// quota is changed, are judged then, and here if that failed. Before all that, groups are settled whose change of the quota got no further.
    pub async fn run(&mut self, app: &App) -> Result<(), DbErr> {
        settle_groups(app).await?;
        judge_unjudged(app).await?;
        judge_in_batches(app, "over_quota_since IS NOT NULL", None).await?;
        if !self.has_judged_own {
            judge_in_batches(app, "own_traffic_bytes IS NOT NULL", None).await?;
            self.has_judged_own = true;
        }
        let groups = quotas_of_groups(&app.db).await?;
        let changed = groups
            .iter()
            .filter(|(group, quota)| self.judged_by.get(*group) != Some(*quota));
        for (group, _) in changed {
            // The index of members leaves the group `default` out.
            let members = if group.is_default() {
                "group_name = $3"
            } else {
                "group_name = $3 AND group_name <> 'default'"
            };
            judge_in_batches(app, members, Some(group)).await?;
        }
        self.judged_by = groups;
        Ok(())
    }
}

/// Where it fails again, they wait for the next review.
async fn judge_unjudged(app: &App) -> Result<(), DbErr> {
    let users = app.unjudged.take();
    if users.is_empty() {
        return Ok(());
    }
    let judged = judge_users(app, &users).await;
    if judged.is_err() {
        app.unjudged.note(users);
    }
    judged.map(drop)
}

/// Judges the living users with this condition, in the order of their ids. Its parameter `$3` is the group.
async fn judge_in_batches(app: &App, condition: &str, group: Option<&GroupName>) -> Result<(), DbErr> {
    let mut after = 0;
    loop {
        let users = next_users(&app.db, condition, group, after).await?;
        let Some(last) = users.last() else {
            return Ok(());
        };
        after = *last;
        let quotas = Quotas::of(&app.db, &users).await?;
        judge_all(app, &quotas, &users).await?;
    }
}

async fn next_users(
    db: &DatabaseConnection,
    condition: &str,
    group: Option<&GroupName>,
    after: i64,
) -> Result<Vec<i64>, DbErr> {
    let group = group.map(|group| Value::from(group.to_string()));
    let values = [Value::from(after), Value::from(BATCH)].into_iter().chain(group);
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        format!("SELECT id FROM users WHERE id > $1 AND removed_at IS NULL AND {condition} ORDER BY id LIMIT $2"),
        values,
    );
    let users = UserId::find_by_statement(statement).all(db).await?;
    Ok(users.into_iter().map(|user| user.id).collect())
}
