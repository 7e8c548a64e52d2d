//! Reads what nodes are told of groups.

use sea_orm::{ConnectionTrait, DbErr, FromQueryResult, Statement};
use tracing::warn;
use vpnmanager_nats::{
    groups::{Group, GroupName, GroupRules, Groups, MOST_GROUPS},
    ids::Revision,
    own_rules::OwnRules,
};
use vpnmanager_runtime::log_limit::LogLimit;

static LEFT_OUT: LogLimit = LogLimit::new("nodes are told of fewer groups than there are");

#[derive(FromQueryResult)]
struct OfGroup {
    revision: i64,
    name: GroupName,
    rules: GroupRules,
    own_rules: Option<OwnRules>,
    metered: bool,
}

/// All groups, those for own rules of users among them, in the order of their names, and how often they were changed. One statement, so that the
/// revision is that of these rules. Never more than nodes read.
///
/// `None` for a table without groups, which a person has emptied: nodes go on with what they know.
pub async fn told_groups(db: &impl ConnectionTrait) -> Result<Option<Groups>, DbErr> {
    let statement = Statement::from_string(
        db.get_database_backend(),
        "SELECT t.revision, g.name, g.rules, NULL::jsonb AS own_rules, g.traffic_bytes IS NOT NULL AS metered
         FROM groups_told t CROSS JOIN groups g
         UNION ALL
         SELECT t.revision, o.name, g.rules, o.rules AS own_rules, g.traffic_bytes IS NOT NULL AS metered
         FROM groups_told t CROSS JOIN own_groups o JOIN groups g ON g.name = o.group_name
         ORDER BY name",
    );
    let rows = readable(OfGroup::find_by_statement(statement).all(db).await?);
    Ok(rows.first().map(|first| Revision(first.revision)).map(|revision| {
        let groups = rows.into_iter();
        let groups = groups.map(|row: OfGroup| Group {
            name: row.name,
            rules: row.own_rules.unwrap_or_default().over(row.rules),
            metered: row.metered,
        });
        Groups {
            revision,
            groups: groups.collect(),
        }
    }))
}

/// As many as nodes read, those of operators first, in the order of their names. There are more only where a replica of an older release made
/// a group, because it counts those of operators alone. A node that read nothing would hold members to rules of before.
fn readable(mut rows: Vec<OfGroup>) -> Vec<OfGroup> {
    if rows.len() <= MOST_GROUPS {
        return rows;
    }
    rows.sort_by_key(|row| row.own_rules.is_some());
    let left_out = rows.split_off(MOST_GROUPS);
    if let Some(times) = LEFT_OUT.admit() {
        warn!(
            groups = left_out.len(),
            times,
            "There are more groups than nodes can be told of, and users of those that are left out reach nothing: delete groups, or take own reach, routes and speed from users"
        );
    }
    rows.sort_by(|one, other| one.name.cmp(&other.name));
    rows
}

#[derive(FromQueryResult)]
struct Told {
    revision: i64,
}

/// How often the groups were changed, as nodes hear of it.
pub async fn told_revision(db: &impl ConnectionTrait) -> Result<Option<i64>, DbErr> {
    let statement = Statement::from_string(db.get_database_backend(), "SELECT revision FROM groups_told");
    let told = Told::find_by_statement(statement).one(db).await?;
    Ok(told.map(|told| told.revision))
}
