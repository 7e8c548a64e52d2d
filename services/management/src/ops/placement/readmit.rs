//! Readmits nodes that were lost: once they are healthy and in sync, they get users again.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, DatabaseConnection, DatabaseTransaction, DbErr, EntityTrait, FromQueryResult, QueryFilter, Statement,
    sea_query::{Expr, ExprTrait},
};
use serde_json::json;
use tracing::info;
use vpnmanager_entities::server;

use crate::{
    domain::{actor::Actor, audit_action::AuditAction},
    ops::{
        audit::{self, Entry},
        transact::transact,
    },
};

use vpnmanager_nats::ids::NodeId;

/// A node with a command that has been pending for longer than this is not in sync.
const IN_SYNC_WITHIN: Duration = Duration::from_secs(10);

#[derive(Debug, FromQueryResult)]
struct Returned {
    name: NodeId,
    lost_since: DateTime<Utc>,
}

/// Readmits every lost node that is healthy again, has completed a sync since, and has answered all commands older than 10 s. Returns how
/// many nodes it readmitted. Only one of several replicas readmits a node.
///
/// This rule is in SQL and not in `domain/`, because it needs all placements of the node.
pub async fn readmit_nodes(db: &DatabaseConnection) -> Result<usize, DbErr> {
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        "SELECT s.name, s.lost_since FROM servers s JOIN health_status h ON h.server_id = s.name
         WHERE s.lost_since IS NOT NULL AND s.state = 'healthy' AND h.complete
           AND s.last_sync > s.lost_since AND s.resync_since IS NULL
           AND NOT EXISTS (SELECT FROM placements p WHERE p.server_id = s.name AND p.applied_revision < p.wanted_revision
                           AND COALESCE(p.outcome, '') NOT IN ('failed', 'refused')
                           AND COALESCE(p.published_at, p.created_at) < $1)",
        [(Utc::now() - IN_SYNC_WITHIN).into()],
    );
    let mut readmitted = 0;
    for node in Returned::find_by_statement(statement).all(db).await? {
        let returned = &node;
        if transact(db, |tx| async move { readmit(&tx, returned).await }).await? {
            info!(node.id = %node.name, "A node that was lost takes users again");
            readmitted += 1;
        }
    }
    Ok(readmitted)
}

async fn readmit(transaction: &DatabaseTransaction, node: &Returned) -> Result<bool, DbErr> {
    let updated = server::Entity::update_many()
        .col_expr(server::Column::LostSince, Expr::value(Option::<DateTime<Utc>>::None))
        .filter(server::Column::Name.eq(node.name.clone()))
        .filter(Expr::col(server::Column::LostSince).eq(node.lost_since))
        .exec(transaction)
        .await?;
    if updated.rows_affected == 0 {
        return Ok(false);
    }
    let entry = Entry::new(&Actor::system(), AuditAction::NodeReadmitted, &node.name)
        .details("it is healthy and in sync again, and takes users")
        .before(json!({ "lost_since": node.lost_since }))
        .after(json!({ "lost_since": null }));
    audit::record_one(transaction, entry).await?;
    Ok(true)
}
