//! Commands that end access are sent to their nodes at once, beside the stream: they do not wait behind what was published before them,
//! and they arrive while the bus can store nothing. The stream stays the durable way, so a node that does not answer is asked a few times
//! only.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, FromQueryResult, Statement};
use vpnmanager_entities::placement;
use vpnmanager_nats::{
    acks::Ack,
    ids::NodeId,
    node_requests::{NodeAnswer, NodeRequest},
};

use crate::{
    app::App,
    ops::{
        columns::columns_of,
        count::count,
        in_batches::change_all,
        nodes::ask::{AskNodeError, ask_node},
        publications::claim::{Claim, DECIDED, publications},
        reports::{apply_acks::Applied, apply_reports::apply_reports, follow_up},
    },
};

/// The most commands that one run takes.
pub const BATCH: usize = 64;
/// The most of them for one node: who does not answer holds up nobody else.
pub const OF_ONE_NODE: usize = 16;
/// Before a node is asked again for the same command; longer than [`PATIENCE`].
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// How long a node may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// A node that has not answered for this long gets the command from the stream, if the stream holds it.
const LEFT_TO_STREAM_AFTER: Duration = Duration::from_secs(60);

/// Commands that end access and that were not asked for lately.
const DUE: &str = "urgent_since IS NOT NULL AND applied_revision < wanted_revision
               AND (asked_at IS NULL
                    OR asked_at + LEAST(GREATEST(asked_at - urgent_since, make_interval(secs => $2)), interval '30 seconds') < now())";

/// Why a command was not applied by asking directly.
#[derive(Debug, thiserror::Error)]
pub enum AskDirectlyError {
    /// No answer that can be read.
    #[error(transparent)]
    Ask(#[from] AskNodeError),
    /// No answer in time.
    #[error("the node did not answer within 3 s")]
    Late,
    /// It could not be applied, or an older agent does not know the request.
    #[error("the node answered: {0}")]
    Failed(String),
    /// The answer is about something else.
    #[error("the node answered another request")]
    OtherAnswer,
    /// The node's answer was not recorded; the stream brings another one.
    #[error("recording the answer of the node failed")]
    Record(#[from] DbErr),
}

impl AskDirectlyError {
    /// Whether the node is away or hangs.
    pub fn is_silence(&self) -> bool {
        match self {
            Self::Late | Self::Ask(AskNodeError::Unreachable) => true,
            Self::Ask(AskNodeError::Request(_) | AskNodeError::Answer(_))
            | Self::Failed(_)
            | Self::OtherAnswer
            | Self::Record(_) => false,
        }
    }
}

/// Nodes that get fewer commands now than others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spared {
    /// They get none.
    pub wholly: Vec<NodeId>,
    /// They get one.
    pub but_for_one: Vec<NodeId>,
}

/// Takes up to [`BATCH`] commands that end access and whose node was not asked for them lately, [`OF_ONE_NODE`] of each node that is not
/// spared. The newest come first: whoever ends one access waits for nobody who ends thousands. Other replicas skip what is taken; a node that does not answer is asked for the same command again after five seconds, and then
/// less and less often.
pub async fn claim(db: &DatabaseConnection, spared: &Spared) -> Result<Vec<Claim>, DbErr> {
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        format!(
            "WITH due AS MATERIALIZED (
             SELECT newest.id FROM servers s CROSS JOIN LATERAL (
                 SELECT id, urgent_since FROM placements WHERE server_id = s.name AND {DUE}
                 ORDER BY urgent_since DESC LIMIT CASE WHEN s.name = ANY ($3) THEN 1 ELSE $5 END) AS newest
             WHERE s.name <> ALL ($1) AND {DECIDED} ORDER BY newest.urgent_since DESC LIMIT $4)
         UPDATE placements SET asked_at = now()
         WHERE id = ANY (ARRAY(
             SELECT id FROM placements WHERE id = ANY (ARRAY(SELECT id FROM due)) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED))
         RETURNING {}",
            columns_of::<placement::Entity>("placements")
        ),
        [
            names(&spared.wholly).into(),
            ASK_AGAIN_AFTER.as_secs_f64().into(),
            names(&spared.but_for_one).into(),
            count(BATCH).into(),
            count(OF_ONE_NODE).into(),
        ],
    );
    let claimed = placement::Model::find_by_statement(statement).all(db).await?;
    publications(db, claimed).await
}

/// Whether something is due for a node that is not spared at all: [`claim`] left it because its row was locked, which takes moments.
pub async fn is_any_due(db: &DatabaseConnection, spared: &Spared) -> Result<bool, DbErr> {
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        format!("SELECT id FROM placements WHERE {DUE} AND server_id <> ALL ($1) AND server_id <> ALL ($3) LIMIT 1"),
        [
            names(&spared.wholly).into(),
            ASK_AGAIN_AFTER.as_secs_f64().into(),
            names(&spared.but_for_one).into(),
        ],
    );
    Ok(db.query_one_raw(statement).await?.is_some())
}

fn names(nodes: &[NodeId]) -> Vec<String> {
    nodes.iter().map(ToString::to_string).collect()
}

/// Leaves what was asked for long enough to the stream, where the stream holds it. Rows that another transaction is changing are left out.
pub async fn leave_to_stream(db: &DatabaseConnection) -> Result<(), DbErr> {
    change_all(
        db,
        "WITH left_over AS MATERIALIZED (
             SELECT id FROM placements
             WHERE urgent_since < now() - make_interval(secs => $2) AND published_revision >= wanted_revision
             ORDER BY id LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED)
         UPDATE placements p SET urgent_since = NULL FROM left_over WHERE p.id = left_over.id",
        [LEFT_TO_STREAM_AFTER.as_secs_f64().into()],
    )
    .await
    .map(drop)
}

/// Has the node apply the command now, and records its answer. Returns what the stream need not keep.
pub async fn ask_directly(app: &App, claim: Claim) -> Result<Applied, AskDirectlyError> {
    let command = claim.publication.command.body;
    let node = command.node().clone();
    let (user_key, revision) = (command.user_key(), command.revision());
    let asked = ask_node(app, &node, NodeRequest::Apply { command });
    let answer = tokio::time::timeout(PATIENCE, asked)
        .await
        .map_err(|_elapsed| AskDirectlyError::Late)??;
    let ack: Ack = match answer {
        NodeAnswer::Acked { ack } if (&ack.node, ack.user_key, ack.revision) == (&node, user_key, revision) => ack,
        // Access is changed; the rest of the answer comes through the stream.
        NodeAnswer::Done => return Ok(Applied::default()),
        NodeAnswer::Failed { error } => return Err(AskDirectlyError::Failed(error)),
        NodeAnswer::Acked { .. }
        | NodeAnswer::Profile { .. }
        | NodeAnswer::ProfileParts(_)
        | NodeAnswer::Sessions { .. }
        | NodeAnswer::Users { .. }
        | NodeAnswer::Disconnected { .. }
        | NodeAnswer::NotFound { .. } => return Err(AskDirectlyError::OtherAnswer),
    };
    let applied = apply_reports(app, &[ack], &[]).await?;
    follow_up::tell(app, &applied).await;
    Ok(applied)
}
