//! Adds to the traffic of days.

use sea_orm::{ConnectionTrait as _, DatabaseTransaction, DbErr, Statement};
use vpnmanager_entities::traffic_day;

/// The most bytes that count in each direction for a user on a node in a day: a petabyte, which is 93 Gbit/s all day long, and as much as the
/// largest quota.
const MOST_OF_A_DAY: i64 = 1_000_000_000_000_000;

/// Adds these to what is there, up to [`MOST_OF_A_DAY`]: a node can claim any number of bytes. So sums over days, nodes and users stay exact, and
/// what is forgiven of one is what was claimed.
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
        bytes_in.push(more.bytes_in.min(MOST_OF_A_DAY));
        bytes_out.push(more.bytes_out.min(MOST_OF_A_DAY));
        sessions.push(more.sessions);
    }
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "INSERT INTO traffic_days AS d (day, user_id, username, server_id, bytes_in, bytes_out, sessions)
         SELECT * FROM UNNEST($1::date[], $2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[])
         ON CONFLICT (day, user_id, server_id) DO UPDATE SET
             bytes_in = LEAST(d.bytes_in::numeric + EXCLUDED.bytes_in, $8::bigint)::bigint,
             bytes_out = LEAST(d.bytes_out::numeric + EXCLUDED.bytes_out, $8::bigint)::bigint,
             sessions = d.sessions + EXCLUDED.sessions",
        [
            days.into(),
            users.into(),
            names.into(),
            nodes.into(),
            bytes_in.into(),
            bytes_out.into(),
            sessions.into(),
            MOST_OF_A_DAY.into(),
        ],
    );
    transaction.execute_raw(statement).await.map(drop)
}
