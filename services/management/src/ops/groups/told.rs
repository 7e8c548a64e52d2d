//! Reads what nodes are told of groups.

use sea_orm::{ConnectionTrait, DbErr, FromQueryResult, Statement};
use vpnmanager_nats::{
    groups::{Group, GroupName, GroupRules, Groups},
    ids::Revision,
};

#[derive(FromQueryResult)]
struct OfGroup {
    revision: i64,
    name: GroupName,
    rules: GroupRules,
    metered: bool,
}

/// All groups, in the order of their names, and how often they were changed. One statement, so that the revision is that of these rules.
///
/// `None` for a table without groups, which a person has emptied: nodes go on with what they know.
pub async fn told_groups(db: &impl ConnectionTrait) -> Result<Option<Groups>, DbErr> {
    let statement = Statement::from_string(
        db.get_database_backend(),
        "SELECT t.revision, g.name, g.rules, g.traffic_bytes IS NOT NULL AS metered FROM groups_told t CROSS JOIN groups g ORDER BY g.name",
    );
    let rows = OfGroup::find_by_statement(statement).all(db).await?;
    Ok(rows.first().map(|first| Revision(first.revision)).map(|revision| {
        let groups = rows.into_iter();
        let groups = groups.map(|row: OfGroup| Group {
            name: row.name,
            rules: row.rules,
            metered: row.metered,
        });
        Groups {
            revision,
            groups: groups.collect(),
        }
    }))
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
