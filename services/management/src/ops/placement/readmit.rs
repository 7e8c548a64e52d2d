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
    domain::{
        actor::Actor,
        audit_action::AuditAction,
        placement::{Returning, has_returned},
    },
    ops::{
        audit::{self, Entry},
        transact::transact,
    },
};

use vpnmanager_nats::ids::NodeId;

/// A node with a command that has been pending for longer than this is behind.
const IN_SYNC_WITHIN: Duration = Duration::from_secs(10);

#[derive(Debug, FromQueryResult)]
struct Progress {
    complete: bool,
    behind: bool,
}

/// Readmits every lost node that has returned. Returns how many nodes it readmitted. Only one of several replicas readmits a node.
pub async fn readmit_nodes(db: &DatabaseConnection) -> Result<usize, DbErr> {
    let lost = server::Entity::find()
        .filter(server::Column::LostSince.is_not_null())
        .all(db)
        .await?;
    let mut readmitted = 0;
    for node in &lost {
        let Some(progress) = progress(db, &node.name).await? else {
            continue;
        };
        let returning = Returning {
            server: node,
            complete: progress.complete,
            behind: progress.behind,
        };
        if has_returned(returning) && transact(db, |tx| async move { readmit(&tx, node).await }).await? {
            info!(node.id = %node.name, "A node that was lost takes users again");
            readmitted += 1;
        }
    }
    Ok(readmitted)
}

/// `None` before the first heartbeat. A command that the node answered with a failure or a refusal is not one that it is behind with.
async fn progress(db: &DatabaseConnection, node: &NodeId) -> Result<Option<Progress>, DbErr> {
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        "SELECT h.complete, EXISTS (
             SELECT FROM placements p WHERE p.server_id = h.server_id AND p.applied_revision < p.wanted_revision
                AND COALESCE(p.outcome, '') NOT IN ('failed', 'refused')
                AND COALESCE(p.published_at, p.created_at) < $1) AS behind
         FROM health_status h WHERE h.server_id = $2",
        [(Utc::now() - IN_SYNC_WITHIN).into(), node.clone().into()],
    );
    Progress::find_by_statement(statement).one(db).await
}

async fn readmit(transaction: &DatabaseTransaction, node: &server::Model) -> Result<bool, DbErr> {
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
