//! Reads how much traffic the members of a group had each day, on each node.

use chrono::NaiveDate;
use sea_orm::{DatabaseConnection, DbErr, FromQueryResult, Statement};
use vpnmanager_entities::group;
use vpnmanager_nats::{groups::GroupName, ids::NodeId};

/// The traffic of one day on one node.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct DayOfServer {
    /// The day, in UTC.
    pub day: NaiveDate,
    /// The node.
    pub server_id: NodeId,
    /// Bytes that it received from clients.
    pub bytes_in: i64,
    /// Bytes that it sent to clients.
    pub bytes_out: i64,
    /// Sessions that began there that day.
    pub sessions: i64,
}

/// Reads the days from the first to the last, both included, that had sessions of living users who are members now: the newest day first, and of
/// each day the nodes in the order of their names. What such a user had before it became a member counts too; what former members had does
/// not. `None`: there is no such group.
pub async fn read_group_traffic(
    db: &DatabaseConnection,
    group: &GroupName,
    (first, last): (NaiveDate, NaiveDate),
) -> Result<Option<Vec<DayOfServer>>, DbErr> {
    if group::Entity::find_by_group_name(group).one(db).await?.is_none() {
        return Ok(None);
    }
    // The index of members leaves the group `default` out: of that one, whose members are nearly all users, the days are read first.
    let members = if group.is_default() {
        ""
    } else {
        "AND u.group_name <> 'default'"
    };
    // A sum of what nodes claim may be beyond 2^63 - 1.
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        format!(
            "SELECT d.day, d.server_id, LEAST(SUM(d.bytes_in), 9223372036854775807)::bigint AS bytes_in,
                 LEAST(SUM(d.bytes_out), 9223372036854775807)::bigint AS bytes_out, SUM(d.sessions)::bigint AS sessions
             FROM users u JOIN traffic_days d ON d.user_id = u.id
             WHERE u.group_name = $1 {members} AND u.removed_at IS NULL AND d.day BETWEEN $2 AND $3
             GROUP BY d.day, d.server_id ORDER BY d.day DESC, d.server_id"
        ),
        [group.to_string().into(), first.into(), last.into()],
    );
    DayOfServer::find_by_statement(statement).all(db).await.map(Some)
}
