//! Answers the handshake of a node: it holds what it should, or gets all its commands again.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, FromQueryResult, PaginatorTrait, QueryFilter, Statement,
    sea_query::{Expr, ExprTrait},
};
use tracing::warn;
use vpnmanager_entities::{placement, server};
use vpnmanager_nats::{
    ids::{NodeId, Revision, UserKey},
    sync::{StreamId, SyncAnswer, SyncReply, SyncRequest},
    topology::{HeldCommand, TopologyError},
};

use vpnmanager_runtime::log_limit::LogLimit;

use crate::{
    app::App,
    domain::{
        actor::Actor,
        audit_action::AuditAction,
        drift::{Recorded, begins_anew, reason_to_resync},
    },
    ops::{
        audit::Entry,
        audit_room::{self, Caused},
        groups::told::told_groups,
        nodes::{
            follow_endpoint::follow_endpoint,
            lost_journal, read,
            track_agent_runs::{is_refused, note_told},
        },
        pools::read::network_of,
        publications::{make_due::publish_again, recognise_stream::recognise_stream},
        transact::transact,
    },
};

static RESYNCS: LogLimit = LogLimit::lines("a node gets all its commands again", 10);
static DIFFERENCES: LogLimit = LogLimit::lines("the stream holds other commands than were published", 10);

/// Why a handshake was not answered; the node asks again.
#[derive(Debug, thiserror::Error)]
pub enum AnswerSyncError {
    /// The bus did not answer.
    #[error("reading the stream failed")]
    Topology(#[from] TopologyError),
    /// The database did not answer.
    #[error("reading the placements failed")]
    Database(#[from] DbErr),
}

/// Answers the handshake of a node, and tells it where the bus is, the network of its pool, and the groups. A node that must not serve is told
/// neither network nor groups.
pub async fn reply_to_sync(app: &App, request: &SyncRequest) -> Result<SyncReply, AnswerSyncError> {
    let answer = answer_sync(app, request).await?;
    // Read last: what is changed after this marks the node to be asked again.
    let (network, groups) = match &answer {
        SyncAnswer::Ok { .. } | SyncAnswer::Preparing { .. } | SyncAnswer::Resync { .. } => {
            (network_of(&app.db, &request.node).await?, told_groups(&app.db).await?)
        }
        SyncAnswer::Refused { .. } => (None, None),
    };
    Ok(SyncReply {
        answer,
        bus: Some(app.bus_place()),
        network,
        groups,
    })
}

/// Compares what a node holds with what it should hold. If they differ, the stream is compared too, and what it lacks is published. Once it
/// holds all commands of the node, the node's consumer starts from the beginning.
pub async fn answer_sync(app: &App, request: &SyncRequest) -> Result<SyncAnswer, AnswerSyncError> {
    let node = &request.node;
    let found = server::Entity::find_by_name(node.clone()).one(&app.db).await?;
    let Some(server) = found.filter(|server| !server.is_deregistered()) else {
        return Ok(not_registered());
    };
    if is_refused(&app.db, node, request.instance).await? {
        return refuse_clone(app, request).await;
    }
    if let Some(told) = &request.endpoint {
        follow_endpoint(app, &server, told).await?;
    }
    // Read before the bus is touched: later acks are not in this request.
    let progress = read::progress(&app.db, node).await?;
    app.topology.ensure_node(node).await?;
    app.topology.give_lost_again(node, request.unsettled).await?;
    let store = app.topology.commands_store().await?;
    // Commands that are recorded as published may have been published to a store that is gone.
    recognise_stream(app, store).await?;
    let recorded = progress.recorded();
    if begins_anew(request, recorded) && !request.complete {
        lost_journal::note(&app.db, &server, request).await?;
    }
    if server.resync_since.is_some() {
        return prepare(app, request, recorded, store).await;
    }
    let upto_sequence = app.topology.newest_command(node).await?;
    let Some(reason) = reason_to_resync(request, recorded, store) else {
        if server.emptied_at.is_some() && request.complete {
            lost_journal::end(&app.db, node).await?;
        }
        note_sync(app, node).await?;
        return Ok(SyncAnswer::Ok {
            upto_sequence,
            stream: Some(store),
        });
    };
    if let Some(times) = RESYNCS.admit() {
        warn!(times, node.id = %node, reason, "Sending a node all its commands again");
    }
    begin(app, node, reason).await?;
    app.publisher.wake();
    Ok(SyncAnswer::Preparing {
        reason: reason.to_owned(),
    })
}

/// The refusal of a node that is not registered; `None` for one that is.
pub async fn refuse_stranger(app: &App, node: &NodeId) -> Result<Option<SyncAnswer>, DbErr> {
    let known = server::Entity::find_by_name(node.clone()).one(&app.db).await?;
    let is_known = known.is_some_and(|server| !server.is_deregistered());
    Ok((!is_known).then(not_registered))
}

fn not_registered() -> SyncAnswer {
    SyncAnswer::Refused {
        reason: "this node is not registered".to_owned(),
    }
}

/// Refuses a clone. It pulled from the consumer of the real node until now, so that node gets all its commands again.
async fn refuse_clone(app: &App, request: &SyncRequest) -> Result<SyncAnswer, AnswerSyncError> {
    if note_told(&app.db, &request.node, request.instance).await? {
        begin(
            app,
            &request.node,
            "a clone of the node may have received some of its commands",
        )
        .await?;
        app.publisher.wake();
    }
    Ok(SyncAnswer::Refused {
        reason: "another agent uses this node's identity and was there first".to_owned(),
    })
}

/// Notes that the node gets everything again, and records that in the audit trail. Only one of several replicas does it.
async fn begin(app: &App, node: &NodeId, reason: &'static str) -> Result<(), DbErr> {
    transact(&app.db, |tx| async move { begin_within(&tx, node, reason).await }).await
}

async fn begin_within(transaction: &DatabaseTransaction, node: &NodeId, reason: &'static str) -> Result<(), DbErr> {
    let begun = server::Entity::update_many()
        .col_expr(server::Column::ResyncSince, Expr::value(Utc::now()))
        .filter(server::Column::Name.eq(node.clone()))
        .filter(server::Column::ResyncSince.is_null())
        .exec(transaction)
        .await?;
    if begun.rows_affected == 0 {
        return Ok(());
    }
    let entry = Entry::new(&Actor::system(), AuditAction::NodeResyncStarted, node).details(reason);
    let caused = Caused {
        by: node.clone(),
        action: AuditAction::NodeResyncStarted,
        entry,
    };
    audit_room::record_caused(transaction, [caused]).await
}

/// Rewinds the node's consumer once the stream holds all commands of the node. A node deletes users whose commands do not come, so the
/// stream is compared first: it may have lost commands that were published, or hold others. Only the difference is published.
async fn prepare(
    app: &App,
    request: &SyncRequest,
    recorded: Recorded,
    store: StreamId,
) -> Result<SyncAnswer, AnswerSyncError> {
    let node = &request.node;
    let reason = "the stream gets what the node should hold".to_owned();
    // Read before the placements: what was in the stream by then is in them as published, or the answer waits.
    let settled_upto = app.topology.newest_command(node).await?;
    let unpublished = placement::Entity::find()
        .filter(placement::Column::ServerId.eq(node.clone()))
        .filter(Expr::col(placement::Column::PublishedRevision).lt(Expr::col(placement::Column::WantedRevision)))
        .count(&app.db)
        .await?;
    if unpublished > 0 {
        app.publisher.wake();
        return Ok(SyncAnswer::Preparing { reason });
    }
    let differing = compare_stream(app, node).await?;
    if !differing.is_empty() {
        if let Some(times) = DIFFERENCES.admit() {
            warn!(times, node.id = %node, users = differing.len(), "The stream holds other commands than were published, publishing them again");
        }
        publish_again(&app.db, node, &differing).await?;
        app.publisher.wake();
        return Ok(SyncAnswer::Preparing { reason });
    }
    let upto_sequence = app.topology.newest_command(node).await?;
    let recorded_upto = match begins_anew(request, recorded) {
        true => Some(lost_journal::recorded_upto(&app.db, node, settled_upto).await?),
        false => None,
    };
    app.topology.rewind_node_consumer(node).await?;
    server::Entity::update_many()
        .col_expr(server::Column::ResyncSince, Expr::value(Option::<DateTime<Utc>>::None))
        .filter(server::Column::Name.eq(node.clone()))
        .exec(&app.db)
        .await?;
    note_sync(app, node).await?;
    Ok(SyncAnswer::Resync {
        upto_sequence,
        stream: Some(store),
        reason,
        recorded_upto,
    })
}

/// Deletes commands of unknown users from the stream, and returns the users whose wanted commands it does not hold.
async fn compare_stream(app: &App, node: &NodeId) -> Result<Vec<UserKey>, AnswerSyncError> {
    // Read before and after: a user that is created or deleted meanwhile is neither unknown nor missing.
    let before = users_of(app, node).await?;
    let held = app.topology.commands_held(node).await?;
    let after = users_of(app, node).await?;
    for HeldCommand { subject, user, .. } in &held {
        if user.is_none_or(|user| !before.contains_key(&user) && !after.contains_key(&user)) {
            app.topology.forget_command(subject).await?;
        }
    }
    let held: HashMap<UserKey, Revision> = held
        .into_iter()
        .filter_map(|command| Some((command.user?, command.revision)))
        .collect();
    let is_awaited = |user: &UserKey, wanted| before.get(user) == Some(wanted) && wanted.is_some();
    let differs = |user: &UserKey, wanted: &Option<Revision>| held.get(user) != wanted.as_ref();
    let differing = after
        .iter()
        .filter(|(user, wanted)| is_awaited(user, wanted) && differs(user, wanted));
    Ok(differing.map(|(user, _)| *user).collect())
}

#[derive(FromQueryResult)]
struct Placed {
    key: UserKey,
    awaited: Option<i64>,
}

/// The users of the node's placements, and the revision of the command that must be in the stream. `None` for a tombstone that the node has
/// acked: it need not be there, although the user may still wait for other nodes.
async fn users_of(app: &App, node: &NodeId) -> Result<HashMap<UserKey, Option<Revision>>, DbErr> {
    let statement = Statement::from_sql_and_values(
        app.db.get_database_backend(),
        "SELECT u.key, CASE WHEN p.wanted_present OR p.applied_revision < p.wanted_revision THEN p.wanted_revision END AS awaited
         FROM users u JOIN placements p ON p.user_id = u.id WHERE p.server_id = $1",
        [node.clone().into()],
    );
    let placed = Placed::find_by_statement(statement).all(&app.db).await?;
    Ok(placed
        .into_iter()
        .map(|row| (row.key, row.awaited.map(Revision)))
        .collect())
}

async fn note_sync(app: &App, node: &NodeId) -> Result<(), DbErr> {
    server::Entity::update_many()
        .col_expr(server::Column::LastSync, Expr::value(app.clock.now()))
        .filter(server::Column::Name.eq(node.clone()))
        .exec(&app.db)
        .await
        .map(drop)
}
