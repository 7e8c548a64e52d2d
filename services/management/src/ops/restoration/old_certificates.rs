//! Ends certificates of old servers of which less is accepted than the file says.

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, Statement, Value};

use super::work::Ended;
use crate::domain::restoration::newer::EndedOld;

/// The certificates of some users, as columns.
#[derive(Default)]
struct Columns {
    users: Vec<i64>,
    nodes: Vec<String>,
    names: Vec<String>,
}

impl Columns {
    fn push(&mut self, user: i64, old: &EndedOld) {
        self.users.push(user);
        self.nodes.push(old.node.to_string());
        self.names.push(old.common_name.to_string());
    }

    fn values(self) -> [Value; 3] {
        [self.users.into(), self.nodes.into(), self.names.into()]
    }
}

/// Revokes them, shortens them, or adds to their serial numbers that are refused. Those that are revoked meanwhile stay so.
pub(super) async fn end(transaction: &DatabaseTransaction, ended: &[Ended<'_>]) -> Result<(), DbErr> {
    let (mut revoked, mut shortened, mut narrowed) = (Columns::default(), Columns::default(), Columns::default());
    let (mut ends, mut serials) = (Vec::new(), Vec::new());
    for Ended { change, old, .. } in ended {
        for one in *old {
            if one.revoked {
                revoked.push(change.id, one);
                continue;
            }
            if let Some(end) = one.ends {
                shortened.push(change.id, one);
                ends.push(end.timestamp_micros());
            }
            for serial in &one.serials {
                narrowed.push(change.id, one);
                serials.push(serial.to_string());
            }
        }
    }
    run(
        transaction,
        "UPDATE old_certificates o SET revoked_at = now()
         FROM UNNEST($1::bigint[], $2::text[], $3::text[]) AS e (user_id, server_id, common_name)
         WHERE o.user_id = e.user_id AND o.server_id = e.server_id AND o.common_name = e.common_name AND o.revoked_at IS NULL",
        revoked.values().into(),
    )
    .await?;
    let mut values = Vec::from(shortened.values());
    values.push(ends.into());
    run(
        transaction,
        "UPDATE old_certificates o SET expires_at = LEAST(o.expires_at, 'epoch'::timestamptz + e.ends * interval '1 microsecond')
         FROM UNNEST($1::bigint[], $2::text[], $3::text[], $4::bigint[]) AS e (user_id, server_id, common_name, ends)
         WHERE o.user_id = e.user_id AND o.server_id = e.server_id AND o.common_name = e.common_name AND o.revoked_at IS NULL",
        values,
    )
    .await?;
    let mut values = Vec::from(narrowed.values());
    values.push(serials.into());
    run(
        transaction,
        "UPDATE old_certificates o SET revoked_serials = o.revoked_serials || e.serials
         FROM (SELECT user_id, server_id, common_name, array_agg(serial ORDER BY serial) AS serials
               FROM UNNEST($1::bigint[], $2::text[], $3::text[], $4::text[]) AS n (user_id, server_id, common_name, serial)
               GROUP BY user_id, server_id, common_name) AS e
         WHERE o.user_id = e.user_id AND o.server_id = e.server_id AND o.common_name = e.common_name AND o.revoked_at IS NULL",
        values,
    )
    .await
}

async fn run(transaction: &DatabaseTransaction, sql: &str, values: Vec<Value>) -> Result<(), DbErr> {
    let statement = Statement::from_sql_and_values(transaction.get_database_backend(), sql, values);
    transaction.execute_raw(statement).await.map(drop)
}
