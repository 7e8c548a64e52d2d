//! Imports a source: one transaction, so that who is killed in the middle leaves nothing, and the next one does all.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, QuerySelect, sea_query::LockType};
use uuid::Uuid;
use vpnmanager_entities::server;

use super::{
    amend, create,
    held::read_held,
    order::{ImportError, OnProgress, Order, Step},
    record::record,
};
use crate::{
    domain::import::{
        plan::{Source, plan},
        planned::{Names, Planned, Work},
        report::{About, Report},
    },
    ops::{
        database_now::database_now, placement::read_fleet::read_fleet_locked, transact::transact,
        users::create::PlacementRules,
    },
};

/// Imports a source, or tries it. Repeating it changes nothing. One import is done at a time; until it is done, no node leaves the fleet.
pub async fn import_source(
    db: &DatabaseConnection,
    rules: &PlacementRules,
    order: &Order<'_>,
    on_progress: OnProgress<'_>,
) -> Result<Report, ImportError> {
    let imported = transact(db, |tx| async move {
        let report = import_within(&tx, rules, order, on_progress).await?;
        if order.is_trial {
            return Err(RolledBack::Trial(Box::new(report)));
        }
        Ok::<_, RolledBack>(report)
    })
    .await;
    match imported {
        Ok(report) => Ok(report),
        Err(RolledBack::Trial(report)) => Ok(*report),
        Err(RolledBack::Failed(error)) => Err(error),
    }
}

/// Why the transaction leaves nothing.
#[derive(Debug, thiserror::Error)]
enum RolledBack {
    #[error("it was a trial")]
    Trial(Box<Report>),
    #[error(transparent)]
    Failed(#[from] ImportError),
}

impl From<DbErr> for RolledBack {
    fn from(error: DbErr) -> Self {
        Self::Failed(error.into())
    }
}

async fn import_within(
    transaction: &DatabaseTransaction,
    rules: &PlacementRules,
    order: &Order<'_>,
    on_progress: OnProgress<'_>,
) -> Result<Report, ImportError> {
    one_import_at_a_time(transaction).await?;
    let fleet = read_fleet_locked(transaction).await?;
    let server = fleet.find(order.node).filter(|server| !server.is_deregistered());
    let server = server.ok_or_else(|| ImportError::UnknownNode(order.node.clone()))?;
    stays(server)?;
    let started_at = database_now(transaction).await?;
    if order.policies.old_until.is_some_and(|until| until <= started_at) {
        return Err(ImportError::OldUntilPassed);
    }
    let found = &order.read.found;
    let held = read_held(transaction, order.node, Names::of(found, order.node)).await?;
    let source = Source {
        found,
        node: order.node,
        pool: &server.pool,
        now: started_at,
    };
    let mut planned = plan(source, order.policies, &held);
    let work = planned.iter().filter(|planned| has_work(planned));
    let mut step = Step::first(on_progress, work.count());
    create::create(transaction, rules, order, &mut planned, &mut step).await?;
    amend::amend(transaction, order, &mut planned, &mut step).await?;
    let about = About {
        node: order.node,
        source: order.source,
        sha256: &order.read.sha256,
        found,
        policies: order.policies,
    };
    let mut report = Report::of(about, &planned);
    if planned.iter().any(has_work) && !order.is_trial {
        finish(transaction, order, &mut report, started_at).await?;
    }
    Ok(report)
}

/// Records the import, after another look at the node: it must not be about to leave its pool. Whoever has it leave locks its row, and so does this until
/// the transaction ends, so the later one sees what the earlier one did (`ops/nodes/move_node.rs`). Not before: heartbeats write the row.
async fn finish(
    transaction: &DatabaseTransaction,
    order: &Order<'_>,
    report: &mut Report,
    started_at: DateTime<Utc>,
) -> Result<(), ImportError> {
    let id = Uuid::now_v7();
    let finished_at = database_now(transaction).await?;
    report.id = Some(id);
    record(transaction, order, (id, &*report), (started_at, finished_at)).await?;
    let server = server::Entity::find_by_name(order.node.clone())
        .lock(LockType::Share)
        .one(transaction)
        .await?;
    stays(&server.ok_or_else(|| ImportError::UnknownNode(order.node.clone()))?)
}

fn stays(server: &server::Model) -> Result<(), ImportError> {
    match server.leaving_since {
        None => Ok(()),
        Some(_) => Err(ImportError::NodeLeaves(server.name.clone())),
    }
}

fn has_work(planned: &Planned) -> bool {
    match planned.work {
        Work::None => false,
        Work::Create(_) | Work::Amend(_) => true,
    }
}

/// Two imports of one source at the same time would each find that all is to be done. Planning a large source takes a while, in which the connection is
/// idle.
async fn one_import_at_a_time(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    let statements =
        "SET LOCAL idle_in_transaction_session_timeout = '60s'; SELECT pg_advisory_xact_lock(7816539210444)";
    transaction.execute_unprepared(statements).await.map(drop)
}
