//! Reads quotas, and what users have used of them.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::{ConnectionTrait, DbErr, FromQueryResult, Statement, Value};
use vpnmanager_entities::{group::TrafficPeriod, user};
use vpnmanager_nats::groups::GroupName;

use crate::domain::quota::{Counted, Quota, Span, Standing};

/// The groups with a quota, by name, each with its period of now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quotas(BTreeMap<GroupName, (Quota, Span)>);

#[derive(FromQueryResult)]
struct Running {
    name: GroupName,
    traffic_bytes: i64,
    traffic_period: TrafficPeriod,
    traffic_reset_day: i16,
    /// By the clock of the database, which all replicas share, and by which traffic is counted.
    today: NaiveDate,
}

impl Quotas {
    /// Reads them.
    pub async fn read(db: &impl ConnectionTrait) -> Result<Self, DbErr> {
        let statement = Statement::from_string(
            db.get_database_backend(),
            "SELECT name, traffic_bytes, traffic_period, traffic_reset_day, (clock_timestamp() AT TIME ZONE 'UTC')::date AS today
             FROM groups WHERE traffic_bytes IS NOT NULL",
        );
        let running = Running::find_by_statement(statement).all(db).await?;
        Ok(Self(running.into_iter().map(Running::into_pair).collect()))
    }

    /// Whether no group has one.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each with its group.
    pub fn each(&self) -> impl Iterator<Item = (&GroupName, Quota)> {
        self.0.iter().map(|(name, (quota, _))| (name, *quota))
    }

    fn counted(&self, group: &GroupName, used: i64) -> Option<Counted> {
        let (quota, span) = *self.0.get(group)?;
        Some(Counted { quota, span, used })
    }

    /// Names and first days, as parameters of SQL.
    fn columns(&self) -> [Value; 2] {
        let (mut names, mut firsts) = (Vec::new(), Vec::new());
        for (name, (_, span)) in &self.0 {
            names.push(name.to_string());
            firsts.push(span.first);
        }
        [names.into(), firsts.into()]
    }
}

impl Running {
    fn into_pair(self) -> (GroupName, (Quota, Span)) {
        let quota = Quota {
            bytes: self.traffic_bytes,
            period: self.traffic_period,
            reset_day: self.traffic_reset_day,
        };
        (self.name, (quota, quota.span(self.today)))
    }
}

#[derive(FromQueryResult)]
struct Row {
    id: i64,
    group_name: GroupName,
    over_quota_since: Option<DateTime<Utc>>,
    quota_warned_from: Option<NaiveDate>,
    /// Bytes in this period; `None`: the group has no quota.
    reported: Option<i64>,
    /// Those of them that were forgiven; `None`: the group has no quota.
    forgiven: Option<i64>,
    /// By the clock of the database.
    today: NaiveDate,
}

impl Row {
    fn counted(&self, quotas: &Quotas) -> Option<Counted> {
        let used = self.reported?.saturating_sub(self.forgiven?);
        quotas.counted(&self.group_name, used)
    }
}

/// Those of these users who live, also members of groups without a quota.
///
/// What was forgiven is taken off the days until then alone: what is reported of these later counts, and once such days are deleted, or are not
/// of the period, nothing is taken off any other.
async fn rows(db: &impl ConnectionTrait, quotas: &Quotas, users: &[i64]) -> Result<Vec<Row>, DbErr> {
    let [names, firsts] = quotas.columns();
    // A sum of what many nodes claim may be beyond 2^63 - 1.
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        "SELECT u.id, u.group_name, u.over_quota_since, u.quota_warned_from,
             CASE WHEN q.name IS NOT NULL THEN LEAST(t.bytes, 9223372036854775807)::bigint END AS reported,
             CASE WHEN q.name IS NOT NULL THEN LEAST(t.bytes_until_then, u.traffic_forgiven)::bigint END AS forgiven,
             (clock_timestamp() AT TIME ZONE 'UTC')::date AS today
         FROM users u LEFT JOIN UNNEST($1::text[], $2::date[]) AS q (name, first) ON q.name = u.group_name
         LEFT JOIN LATERAL (
             SELECT COALESCE(SUM(d.bytes_in::numeric + d.bytes_out), 0) AS bytes,
                 COALESCE(SUM(d.bytes_in::numeric + d.bytes_out) FILTER (WHERE d.day <= u.forgiven_on), 0) AS bytes_until_then
             FROM traffic_days d WHERE d.user_id = u.id AND d.day >= q.first) AS t ON q.name IS NOT NULL
         WHERE u.id = ANY($3) AND u.removed_at IS NULL",
        [names, firsts, users.to_vec().into()],
    );
    Row::find_by_statement(statement).all(db).await
}

/// How these living users stand against the quotas of their groups, by row id. Members of groups without a quota are there too.
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

/// What a user has used; `None`: the group of the user has no quota.
pub async fn read_counted(db: &impl ConnectionTrait, user: &user::Model) -> Result<Option<Counted>, DbErr> {
    let quotas = Quotas::read(db).await?;
    if quotas.is_empty() {
        return Ok(None);
    }
    let found = rows(db, &quotas, &[user.id]).await?;
    Ok(found.first().and_then(|row| row.counted(&quotas)))
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

/// What is to be forgiven of a user so that nothing is used; `None`: the group of the user has no quota.
pub(super) async fn read_forgivable(
    db: &impl ConnectionTrait,
    user: &user::Model,
) -> Result<Option<Forgivable>, DbErr> {
    let quotas = Quotas::read(db).await?;
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
