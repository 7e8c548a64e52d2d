//! Ends one live session. Its credential stays valid.

use sea_orm::{
    ColumnTrait, ConnectionTrait as _, DatabaseTransaction, DbErr, EntityTrait, FromQueryResult, QueryFilter, Statement,
};
use serde_json::json;
use vpnmanager_entities::server;
use vpnmanager_nats::{
    device::DeviceName,
    ids::{CommonName, NodeId},
    node_requests::{NodeAnswer, NodeRequest},
    username::Username,
};
use vpnmanager_runtime::error_chain::chain;

use crate::{
    app::App,
    domain::{actor::Actor, audit_action::AuditAction, session_id::SessionId},
    ops::{
        audit::{self, Entry},
        nodes::ask::{AskNodeError, ask_node},
        sessions::list_sessions::{SessionFilter, list_sessions},
        transact::transact,
    },
};

/// Why the session was not ended.
#[derive(Debug, thiserror::Error)]
pub enum EndSessionError {
    /// It has ended, or there never was one.
    #[error("there is no such session")]
    NotThere,
    /// The node is away.
    #[error("server {0} cannot be reached")]
    NodeUnreachable(NodeId),
    /// The node answered with a failure, or with something else.
    #[error("server {server} failed to end the session: {detail}")]
    NodeFailed {
        /// The node.
        server: NodeId,
        /// Its explanation.
        detail: String,
    },
    /// The database did not answer.
    #[error("recording the end of a session failed")]
    Database(#[from] DbErr),
}

/// Has the node end the session, and records it. No connection of the database is held while the node is asked: it may take seconds.
pub async fn end_session(app: &App, actor: &Actor, id: &SessionId) -> Result<(), EndSessionError> {
    let known = server::Entity::find()
        .filter(server::Column::Name.eq(id.node.clone()))
        .one(&app.db)
        .await?;
    known.ok_or(EndSessionError::NotThere)?;
    refuse_unseen(app, actor, id).await?;
    let common_name = disconnect(app, id).await?;
    let common_name = &common_name;
    transact(&app.db, |tx| async move { record(&tx, actor, id, common_name).await }).await?;
    Ok(())
}

/// A narrowed caller ends only what the list shows it.
async fn refuse_unseen(app: &App, actor: &Actor, id: &SessionId) -> Result<(), EndSessionError> {
    if actor.scope.is_whole() {
        return Ok(());
    }
    let filter = SessionFilter {
        server_id: Some(id.node.clone()),
        scope: actor.scope.clone(),
        ..SessionFilter::default()
    };
    let listed = list_sessions(app, &filter, None, u64::MAX).await?;
    if listed.sessions.iter().any(|session| session.id == *id) {
        return Ok(());
    }
    Err(match listed.missing.is_empty() {
        true => EndSessionError::NotThere,
        false => EndSessionError::NodeUnreachable(id.node.clone()),
    })
}

/// Has the node end the session, and gives its credential. The client is told to stop, and dropped if it does not listen.
pub(super) async fn disconnect(app: &App, id: &SessionId) -> Result<CommonName, EndSessionError> {
    let server = id.node.clone();
    let request = NodeRequest::Disconnect {
        cid: id.cid,
        since: id.since,
    };
    let answer = ask_node(app, &server, request).await;
    let answer = answer.map_err(|error| match error {
        AskNodeError::Unreachable => EndSessionError::NodeUnreachable(server.clone()),
        AskNodeError::Request(_) | AskNodeError::Answer(_) => EndSessionError::NodeFailed {
            server: server.clone(),
            detail: chain(&error).to_string(),
        },
    })?;
    match answer {
        NodeAnswer::Disconnected { common_name } => Ok(common_name),
        NodeAnswer::NotFound { .. } => Err(EndSessionError::NotThere),
        NodeAnswer::Failed { error: detail } => Err(EndSessionError::NodeFailed { server, detail }),
        NodeAnswer::Profile { .. }
        | NodeAnswer::ProfileParts(_)
        | NodeAnswer::Sessions { .. }
        | NodeAnswer::Users { .. }
        | NodeAnswer::Acked { .. }
        | NodeAnswer::Done => Err(EndSessionError::NodeFailed {
            server,
            detail: "it answered another request".to_owned(),
        }),
    }
}

async fn record(
    transaction: &DatabaseTransaction,
    actor: &Actor,
    id: &SessionId,
    common_name: &CommonName,
) -> Result<(), DbErr> {
    let entry = Entry::new(actor, AuditAction::SessionEnded, &id.node);
    let mut state = json!({
        "session": id.to_string(),
        "common_name": common_name,
    });
    let entry = match owner_of(transaction, &id.node, common_name).await? {
        Some(Owner { username, device }) => {
            if let Some(device) = device {
                state["device"] = json!(device);
            }
            entry.about(&username)
        }
        None => entry,
    };
    audit::record_one(transaction, entry.after(state)).await
}

#[derive(FromQueryResult)]
struct Owner {
    username: Username,
    /// `None`: the certificate is one of an old server.
    device: Option<DeviceName>,
}

/// The user of a credential and the device that it is for, if the node holds her; or of a certificate of the old server that the node took over.
async fn owner_of(
    transaction: &DatabaseTransaction,
    node: &NodeId,
    common_name: &CommonName,
) -> Result<Option<Owner>, DbErr> {
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "SELECT u.username, c.device FROM credentials c JOIN users u ON u.id = c.user_id JOIN placements p ON p.user_id = u.id
         WHERE c.common_name = $1 AND p.server_id = $2 AND (p.wanted_present OR u.removed_at IS NOT NULL)
         UNION ALL
         (SELECT u.username, NULL FROM old_certificates o JOIN users u ON u.id = o.user_id
          WHERE o.common_name = $1 AND o.server_id = $2 ORDER BY o.id DESC LIMIT 1)
         LIMIT 1",
        [common_name.to_string().into(), node.to_string().into()],
    );
    Owner::find_by_statement(statement).one(transaction).await
}
