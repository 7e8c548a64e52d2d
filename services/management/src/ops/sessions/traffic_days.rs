//! Adds to the traffic of days.

use sea_orm::{ConnectionTrait as _, DatabaseTransaction, DbErr, Statement};
use vpnmanager_entities::traffic_day;

/// Adds these to what is there. A sum that would be beyond 2^63 - 1 stays there: a node can claim any number of bytes, and its reports must
/// not fail for it.
pub(super) async fn add_traffic(
    transaction: &DatabaseTransaction,
    additions: Vec<traffic_day::Model>,
) -> Result<(), DbErr> {
    if additions.is_empty() {
        return Ok(());
    }
    let (mut days, mut users, mut names, mut nodes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut bytes_in, mut bytes_out, mut sessions) = (Vec::new(), Vec::new(), Vec::new());
    for more in additions {
        days.push(more.day);
        users.push(more.user_id);
        names.push(more.username.to_string());
        nodes.push(more.server_id.to_string());
        bytes_in.push(more.bytes_in);
        bytes_out.push(more.bytes_out);
        sessions.push(more.sessions);
    }
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "INSERT INTO traffic_days AS d (day, user_id, username, server_id, bytes_in, bytes_out, sessions)
         SELECT * FROM UNNEST($1::date[], $2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[])
         ON CONFLICT (day, user_id, server_id) DO UPDATE SET
             bytes_in = LEAST(d.bytes_in::numeric + EXCLUDED.bytes_in, 9223372036854775807)::bigint,
             bytes_out = LEAST(d.bytes_out::numeric + EXCLUDED.bytes_out, 9223372036854775807)::bigint,
             sessions = d.sessions + EXCLUDED.sessions",
        [
            days.into(),
            users.into(),
            names.into(),
            nodes.into(),
            bytes_in.into(),
            bytes_out.into(),
            sessions.into(),
        ],
    );
    transaction.execute_raw(statement).await.map(drop)
}
