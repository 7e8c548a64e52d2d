//! `apply`: one command that must not wait behind those of the stream, such as the end of a user's access.

use std::time::Duration;

use chrono::Utc;
use vpnmanager_nats::{
    acks::{Ack, Outcome},
    commands::Command,
    node_requests::NodeAnswer,
};

use crate::{
    apply::{Applied, ApplyError},
    coordination::issue_queue::IssueJob,
    shared::Shared,
};

/// Less than in the stream: management waits three seconds for the answer, and loading the rules of the group may take one of them.
const TOLD_WITHIN: Duration = Duration::from_secs(1);

/// The command was not applied; its stream brings it again.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApplyDirectlyError {
    #[error("the command is for another node")]
    ForeignNode,
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error("the command has no result")]
    NoResult,
}

pub(super) async fn answer(shared: &Shared, command: Command) -> Result<NodeAnswer, ApplyDirectlyError> {
    if *command.node() != shared.node.id {
        return Err(ApplyDirectlyError::ForeignNode);
    }
    let (user_key, revision) = (command.user_key(), command.revision());
    shared
        .learn_of_groups(std::slice::from_ref(&command), TOLD_WITHIN)
        .await;
    shared.progress.coming([user_key]);
    let handled = shared.applier.apply(vec![command], 0).await?;
    let handled = handled.into_iter().next().ok_or(ApplyDirectlyError::NoResult)?;
    let outcome = match handled.applied {
        Applied::Answered(outcome) => outcome,
        Applied::Unheld(error) => Outcome::Failed { error },
        // Access is changed. The command in the stream is answered when the profile is made.
        Applied::Issuing(order) => {
            let job = IssueJob {
                order,
                delivery: None,
                traceparent: None,
            };
            // Nobody whose access ends may wait for keys to be made.
            shared.issue.offer(job);
            return Ok(NodeAnswer::Done);
        }
    };
    let ack = Ack {
        node: shared.node.id.clone(),
        instance: shared.node.instance,
        user_key,
        revision,
        outcome,
        applied_at: Utc::now(),
    };
    Ok(NodeAnswer::Acked { ack })
}
