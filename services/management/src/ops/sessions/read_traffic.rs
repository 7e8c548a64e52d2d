//! Reads how much traffic there was each day.

use chrono::NaiveDate;
use sea_orm::{DatabaseConnection, DbErr, FromQueryResult, Statement, Value};
use vpnmanager_nats::ids::NodeId;

/// Whose traffic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrafficOf {
    /// That of the user with this row id, on all nodes.
    User(i64),
    /// That of all users on this node.
    Node(NodeId),
}

/// The traffic of one day.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct DayTraffic {
    /// The day, in UTC.
    pub day: NaiveDate,
    /// Bytes that nodes received from clients.
    pub bytes_in: i64,
    /// Bytes that nodes sent to clients.
    pub bytes_out: i64,
    /// Sessions that began that day.
    pub sessions: i64,
}

/// Reads the days from `first` to `last`, both included, that had sessions, the newest first.
pub async fn read_traffic(
    db: &DatabaseConnection,
    of: &TrafficOf,
    first: NaiveDate,
    last: NaiveDate,
) -> Result<Vec<DayTraffic>, DbErr> {
    let (column, value): (&str, Value) = match of {
        TrafficOf::User(id) => ("user_id", (*id).into()),
        TrafficOf::Node(node) => ("server_id", node.to_string().into()),
    };
    // A sum of what nodes claim may be beyond 2^63 - 1.
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        format!(
            "SELECT day, LEAST(SUM(bytes_in), 9223372036854775807)::bigint AS bytes_in,
                 LEAST(SUM(bytes_out), 9223372036854775807)::bigint AS bytes_out, SUM(sessions)::bigint AS sessions
             FROM traffic_days WHERE {column} = $1 AND day BETWEEN $2 AND $3 GROUP BY day ORDER BY day DESC"
        ),
        [value, first.into(), last.into()],
    );
    DayTraffic::find_by_statement(statement).all(db).await
}
