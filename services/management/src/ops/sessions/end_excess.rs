//! Ends a session that is beyond what its user is allowed at the same time. Its credential stays valid.

use std::time::Duration;

use sea_orm::{
    ActiveEnum as _, ConnectionTrait as _, DatabaseConnection, DatabaseTransaction, DbErr, Statement, Value,
};
use serde_json::json;
use tokio::time::timeout;
use vpnmanager_nats::ids::NodeId;

use super::{
    end_session::{EndSessionError, disconnect},
    find_excess::{ASKED_AGAIN_AFTER, ExcessSession},
};
use crate::{
    app::App,
    domain::{actor::Actor, audit_action::AuditAction, own_limits::Origin, session_id::SessionId},
    ops::{
        audit::Entry,
        audit_room::{Caused, record_caused},
        transact::transact,
    },
};

/// How long a node may take to answer; less than [`ASKED_AGAIN_AFTER`].
const PATIENCE: Duration = Duration::from_secs(4);

/// What the trail says where the node may have ended the session, or not.
const UNANSWERED: &str = "the end of the session was asked for; the answer did not come";
/// What it says where the session ended before the node answered, by this or by itself.
const NOT_THERE: &str = "the end of the session was asked for; the node answered that it is not there any more";

/// What became of the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The node ended it.
    Ended,
    /// It had ended by itself: the node says that it is not there.
    WasGone,
    /// Somebody else asks the node at this moment, or it has ended meanwhile.
    LeftToOthers,
}

/// Why it was not ended. It is tried again at the next look.
#[derive(Debug, thiserror::Error)]
pub enum EndExcessError {
    /// The node did not do it.
    #[error(transparent)]
    Node(#[from] EndSessionError),
    /// No answer in time.
    #[error("server {0} did not answer in time")]
    Late(NodeId),
    /// The database did not answer.
    #[error("recording the end of a session failed")]
    Database(#[from] DbErr),
}

impl EndExcessError {
    /// Whether the node is away or hangs.
    pub fn is_silence(&self) -> bool {
        match self {
            Self::Late(_) | Self::Node(EndSessionError::NodeUnreachable(_)) => true,
            Self::Node(
                EndSessionError::NotThere | EndSessionError::NodeFailed { .. } | EndSessionError::Database(_),
            )
            | Self::Database(_) => false,
        }
    }
}

/// Has the node end it, and records that it did, or may have: an answer may be lost. The client is told to stop, so it does not come back by itself.
///
/// Of several replicas one asks: the row of the session says when somebody did last, and is changed before the node is asked. No connection of
/// the database is held while the node is asked. Once the node has answered, the session counts no more and is not asked for again, whatever
/// its reports say.
pub async fn end_excess(app: &App, excess: &ExcessSession) -> Result<Ending, EndExcessError> {
    if !claim(&app.leases, &excess.id).await? {
        return Ok(Ending::LeftToOthers);
    }
    let ending = match timeout(PATIENCE, disconnect(app, &excess.id)).await {
        // It is the session of that start and number, whatever name the node gives it.
        Ok(Ok(_common_name)) => Ending::Ended,
        Ok(Err(EndSessionError::NotThere)) => Ending::WasGone,
        Ok(Err(error)) => return Err(error.into()),
        Err(_elapsed) => {
            transact(
                &app.db,
                |tx| async move { audit_once(&tx, excess, Some(UNANSWERED)).await },
            )
            .await?;
            return Err(EndExcessError::Late(excess.id.node.clone()));
        }
    };
    transact(&app.db, |tx| async move { record(&tx, excess, ending).await }).await?;
    Ok(ending)
}

/// Notes that the node is being asked. False if somebody else has noted that lately, or if there is nothing to ask for any more.
async fn claim(db: &DatabaseConnection, session: &SessionId) -> Result<bool, DbErr> {
    let [since, cid, node] = key(session);
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        "UPDATE sessions SET end_asked_at = now()
         WHERE since = $1 AND cid = $2 AND server_id = $3 AND ended_at IS NULL AND end_answered_at IS NULL
           AND (end_asked_at IS NULL OR end_asked_at <= now() - make_interval(secs => $4))",
        [since, cid, node, ASKED_AGAIN_AFTER.as_secs_f64().into()],
    );
    Ok(db.execute_raw(statement).await?.rows_affected() > 0)
}

/// What names the row of a session.
fn key(session: &SessionId) -> [Value; 3] {
    [
        session.since.into(),
        i64::try_from(session.cid).unwrap_or(i64::MAX).into(),
        session.node.to_string().into(),
    ]
}

async fn record(transaction: &DatabaseTransaction, excess: &ExcessSession, ending: Ending) -> Result<(), DbErr> {
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "UPDATE sessions SET end_answered_at = now() WHERE since = $1 AND cid = $2 AND server_id = $3",
        key(&excess.id),
    );
    transaction.execute_raw(statement).await?;
    match ending {
        Ending::Ended => audit_once(transaction, excess, None).await,
        // An answer to an earlier request may have been lost.
        Ending::WasGone => audit_once(transaction, excess, Some(NOT_THERE)).await,
        Ending::LeftToOthers => Ok(()),
    }
}

/// Records the end of the session in the trail, with a remark if it is not known to have come by this, unless that was done before.
async fn audit_once(
    transaction: &DatabaseTransaction,
    excess: &ExcessSession,
    remark: Option<&str>,
) -> Result<(), DbErr> {
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "UPDATE sessions SET end_audited = true WHERE since = $1 AND cid = $2 AND server_id = $3 AND NOT end_audited",
        key(&excess.id),
    );
    if transaction.execute_raw(statement).await?.rows_affected() == 0 {
        return Ok(());
    }
    record_caused(transaction, [caused(excess, remark)]).await
}

/// The entry takes room of the node: which sessions there are is its word.
fn caused(excess: &ExcessSession, remark: Option<&str>) -> Caused {
    let node = &excess.id.node;
    let action = AuditAction::SessionLimited;
    let allowed = devices(excess.allowed);
    let mut details = match excess.allowed_by {
        Origin::Own => format!("the own limit of the user allows {allowed} at the same time"),
        Origin::Group => format!("the group {} allows {allowed} at the same time", excess.group),
    };
    if let Some(remark) = remark {
        details.push_str(": ");
        details.push_str(remark);
    }
    let entry = Entry::new(&Actor::system(), action, node)
        .about(&excess.username)
        .details(details)
        .after(json!({
            "session": excess.id.to_string(),
            "common_name": excess.common_name,
            "device": excess.device,
            "group": excess.group,
            "sessions": excess.allowed,
            "session_excess": excess.excess.to_value(),
        }));
    Caused {
        by: node.clone(),
        action,
        entry,
    }
}

fn devices(number: i16) -> String {
    match number {
        1 => "1 device".to_owned(),
        more => format!("{more} devices"),
    }
}
