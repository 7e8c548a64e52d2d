//! Reads quotas, and what users have used of them.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::{ConnectionTrait, DbErr, EntityTrait as _, FromQueryResult, QueryFilter as _, Statement, Value};
use vpnmanager_entities::{
    group::{self, TrafficPeriod},
    user,
};
use vpnmanager_nats::groups::GroupName;

use crate::domain::quota::{Counted, Quota, Span, Standing};

/// The quotas of groups, by their names. Groups without one are left out.
pub(super) async fn quotas_of_groups(db: &impl ConnectionTrait) -> Result<BTreeMap<GroupName, Quota>, DbErr> {
    let groups = group::Entity::find()
        .filter(group::COLUMN.traffic_bytes.is_not_null())
        .all(db)
        .await?;
    let quotas = groups
        .into_iter()
        .filter_map(|group| Some((group.name.clone(), Quota::of(&group)?)));
    Ok(quotas.collect())
}

/// The quotas that hold for some users, by row id, each with its period of now. Users without one are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Quotas(BTreeMap<i64, (Quota, Span)>);

#[derive(FromQueryResult)]
struct Running {
    id: i64,
    bytes: i64,
    period: TrafficPeriod,
    reset_day: i16,
    /// By the clock of the database, which all replicas share, and by which traffic is counted.
    today: NaiveDate,
}

impl Quotas {
    /// Reads those of these users: the own one, else that of the group.
    pub(super) async fn of(db: &impl ConnectionTrait, users: &[i64]) -> Result<Self, DbErr> {
        // The three columns of an own quota are there together.
        let statement = Statement::from_sql_and_values(
            db.get_database_backend(),
            "SELECT u.id, COALESCE(u.own_traffic_bytes, g.traffic_bytes) AS bytes,
                 COALESCE(u.own_traffic_period, g.traffic_period) AS period,
                 COALESCE(u.own_traffic_reset_day, g.traffic_reset_day) AS reset_day,
                 (clock_timestamp() AT TIME ZONE 'UTC')::date AS today
             FROM users u LEFT JOIN groups g ON g.name = u.group_name
             WHERE u.id = ANY($1) AND COALESCE(u.own_traffic_bytes, g.traffic_bytes) IS NOT NULL",
            [users.to_vec().into()],
        );
        let running = Running::find_by_statement(statement).all(db).await?;
        Ok(Self(running.into_iter().map(Running::into_pair).collect()))
    }

    /// Whether none of the users has one.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn counted(&self, user: i64, used: i64) -> Option<Counted> {
        let (quota, span) = *self.0.get(&user)?;
        Some(Counted { quota, span, used })
    }

    /// Row ids and first days, as parameters of SQL.
    fn columns(&self) -> [Value; 2] {
        let (mut users, mut firsts) = (Vec::new(), Vec::new());
        for (user, (_, span)) in &self.0 {
            users.push(*user);
            firsts.push(span.first);
        }
        [users.into(), firsts.into()]
    }
}

impl Running {
    fn into_pair(self) -> (i64, (Quota, Span)) {
        let quota = Quota {
            bytes: self.bytes,
            period: self.period,
            reset_day: self.reset_day,
        };
        (self.id, (quota, quota.span(self.today)))
    }
}

#[derive(FromQueryResult)]
struct Row {
    id: i64,
    over_quota_since: Option<DateTime<Utc>>,
    quota_warned_from: Option<NaiveDate>,
    /// Bytes in this period; `None`: the user has no quota.
    reported: Option<i64>,
    /// Those of them that were forgiven; `None`: the user has no quota.
    forgiven: Option<i64>,
    /// By the clock of the database.
    today: NaiveDate,
}

impl Row {
    fn counted(&self, quotas: &Quotas) -> Option<Counted> {
        let used = self.reported?.saturating_sub(self.forgiven?);
        quotas.counted(self.id, used)
    }
}

/// Those of these users who live, also those without a quota.
///
/// What was forgiven is taken off the days until then alone: what is reported of these later counts, and once such days are deleted, or are not
/// of the period, nothing is taken off any other.
async fn rows(db: &impl ConnectionTrait, quotas: &Quotas, users: &[i64]) -> Result<Vec<Row>, DbErr> {
    let [with_quota, firsts] = quotas.columns();
    // A sum of what many nodes claim may be beyond 2^63 - 1.
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        "SELECT u.id, u.over_quota_since, u.quota_warned_from,
             CASE WHEN q.id IS NOT NULL THEN LEAST(t.bytes, 9223372036854775807)::bigint END AS reported,
             CASE WHEN q.id IS NOT NULL THEN LEAST(t.bytes_until_then, u.traffic_forgiven)::bigint END AS forgiven,
             (clock_timestamp() AT TIME ZONE 'UTC')::date AS today
         FROM users u LEFT JOIN UNNEST($1::bigint[], $2::date[]) AS q (id, first) ON q.id = u.id
         LEFT JOIN LATERAL (
             SELECT COALESCE(SUM(d.bytes_in::numeric + d.bytes_out), 0) AS bytes,
                 COALESCE(SUM(d.bytes_in::numeric + d.bytes_out) FILTER (WHERE d.day <= u.forgiven_on), 0) AS bytes_until_then
             FROM traffic_days d WHERE d.user_id = u.id AND d.day >= q.first) AS t ON q.id IS NOT NULL
         WHERE u.id = ANY($3) AND u.removed_at IS NULL",
        [with_quota, firsts, users.to_vec().into()],
    );
    Row::find_by_statement(statement).all(db).await
}

/// How these living users stand against their quotas, by row id. Users without one are there too.
pub(super) async fn standings(
    db: &impl ConnectionTrait,
    quotas: &Quotas,
    users: &[i64],
) -> Result<BTreeMap<i64, Standing>, DbErr> {
    let standing = |row: Row| {
        let standing = Standing {
            is_over: row.over_quota_since.is_some(),
            warned_from: row.quota_warned_from,
            counted: row.counted(quotas),
        };
        (row.id, standing)
    };
    Ok(rows(db, quotas, users).await?.into_iter().map(standing).collect())
}

/// What a user has used; `None`: neither the user nor its group has a quota.
pub async fn read_counted(db: &impl ConnectionTrait, user: &user::Model) -> Result<Option<Counted>, DbErr> {
    let quotas = Quotas::of(db, &[user.id]).await?;
    if quotas.is_empty() {
        return Ok(None);
    }
    let found = rows(db, &quotas, &[user.id]).await?;
    Ok(found.first().and_then(|row| row.counted(&quotas)))
}

/// The bytes of this period that were forgiven; `None`: neither the user nor its group has a quota.
pub(super) async fn read_forgiven(db: &impl ConnectionTrait, user: &user::Model) -> Result<Option<i64>, DbErr> {
    let quotas = Quotas::of(db, &[user.id]).await?;
    let found = rows(db, &quotas, &[user.id]).await?;
    Ok(found.first().and_then(|row| row.forgiven))
}

/// What is to be forgiven of a user.
#[derive(Debug, Clone, Copy)]
pub(super) struct Forgivable {
    /// What counts so far.
    pub(super) counted: Counted,
    /// All bytes of this period, those that were forgiven before too.
    pub(super) reported: i64,
    /// The day (UTC) on which they are forgiven.
    pub(super) today: NaiveDate,
}

/// What is to be forgiven of a user so that nothing is used; `None`: neither the user nor its group has a quota.
pub(super) async fn read_forgivable(
    db: &impl ConnectionTrait,
    user: &user::Model,
) -> Result<Option<Forgivable>, DbErr> {
    let quotas = Quotas::of(db, &[user.id]).await?;
    let found = rows(db, &quotas, &[user.id]).await?;
    let forgivable = |row: &Row| {
        Some(Forgivable {
            counted: row.counted(&quotas)?,
            reported: row.reported?,
            today: row.today,
        })
    };
    Ok(found.first().and_then(forgivable))
}
