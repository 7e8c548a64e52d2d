//! Which users' traffic counts against a quota.

use std::collections::HashSet;

use sea_orm::{ConnectionTrait, DbErr, FromQueryResult, Statement};

#[derive(FromQueryResult)]
struct Member {
    id: i64,
}

/// Those of the users with these row ids who have a quota, or whose group has one. Asks nothing about nobody.
pub(in crate::ops) async fn metered_among(db: &impl ConnectionTrait, users: Vec<i64>) -> Result<HashSet<i64>, DbErr> {
    if users.is_empty() {
        return Ok(HashSet::new());
    }
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        "SELECT u.id FROM users u LEFT JOIN groups g ON g.name = u.group_name
         WHERE u.id = ANY($1) AND (u.own_traffic_bytes IS NOT NULL OR g.traffic_bytes IS NOT NULL)",
        [users.into()],
    );
    let members = Member::find_by_statement(statement).all(db).await?;
    Ok(members.into_iter().map(|member| member.id).collect())
}
