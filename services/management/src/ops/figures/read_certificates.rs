//! Reads when certificates end, of which `/metrics` tells.

use sea_orm::{ConnectionTrait, DbErr, FromQueryResult, Statement};

use crate::metrics::certificates::CertificateEnds;

/// Reads them by the indexes of their ends. Replicas look at their files each hour: what none has seen for a day is used by none.
pub async fn read_certificates(db: &impl ConnectionTrait) -> Result<CertificateEnds, DbErr> {
    let statement = Statement::from_string(
        db.get_database_backend(),
        "SELECT bus_server, https, clients_1, clients_7, clients_14, clients_30
         FROM (SELECT min(not_after) FILTER (WHERE kind = 'bus' AND holder = 'server') AS bus_server,
                      min(not_after) FILTER (WHERE kind = 'https') AS https
               FROM certificates
               WHERE kind IN ('bus', 'https') AND replaced_at IS NULL AND seen_at > now() - interval '1 day') own,
              (SELECT count(*) FILTER (WHERE not_after <= now() + interval '1 day') AS clients_1,
                      count(*) FILTER (WHERE not_after <= now() + interval '7 days') AS clients_7,
                      count(*) FILTER (WHERE not_after <= now() + interval '14 days') AS clients_14,
                      count(*) AS clients_30
               FROM credentials
               WHERE revoked_at IS NULL AND not_after > now() AND not_after <= now() + interval '30 days') clients",
    );
    let ends = CertificateEnds::find_by_statement(statement).one(db).await?;
    Ok(ends.unwrap_or_default())
}
