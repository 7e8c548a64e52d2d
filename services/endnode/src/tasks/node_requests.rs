//! Requests of management to this node: one arm below and one file in the folder for each verb.

mod apply;
mod disconnect;
mod drain;
mod profile;
mod restart_server;
mod retire;
mod sessions;
mod sync;
mod users;

use std::{future::Future, time::Duration};

use futures_util::StreamExt;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use vpnmanager_nats::{
    envelope::Envelope,
    node_requests::{NodeAnswer, NodeRequest},
    permissions::is_request_of_management,
    subjects,
};
use vpnmanager_runtime::{backoff::jittered, contain::contain, error_chain::chain};

use crate::{backend::SessionKey, shared::Shared};

/// Requests answered at the same time.
const CONCURRENT: usize = 16;

/// Answers requests until stopped.
pub async fn run(shared: Shared, stop: CancellationToken) -> anyhow::Result<()> {
    while !stop.is_cancelled() {
        match shared.bus.subscribe(subjects::node_requests_of(&shared.node.id)).await {
            Ok(subscription) => {
                let messages = subscription.take_until(stop.clone().cancelled_owned());
                messages
                    .for_each_concurrent(CONCURRENT, |message| reply(&shared, message))
                    .await;
            }
            Err(error) => warn!(error = %error, "Requests of management cannot be heard, trying again"),
        }
        tokio::select! {
            () = tokio::time::sleep(jittered(Duration::from_secs(1))) => {}
            () = stop.cancelled() => {}
        }
    }
    Ok(())
}

async fn reply(shared: &Shared, message: async_nats::Message) {
    // Checked before the payload is read: a message without such a reply subject was sent by another node.
    let Some(reply) = message
        .reply
        .filter(|reply| is_request_of_management(Some(reply.as_str())))
    else {
        warn!(request.subject = %message.subject, "Dropped a message that is no request of management");
        return;
    };
    let answer = match Envelope::<NodeRequest>::decode(&message.payload) {
        Ok(envelope) => contain("answering a request of management", answer(shared, envelope.body))
            .await
            .unwrap_or_else(|panicked| Some(failed(panicked))),
        Err(error) => Some(failed(error)),
    };
    let Some(answer) = answer else { return };
    if let Err(error) = shared.bus.publish(reply, Envelope::new(answer).encode()).await {
        debug!(error = %error, "An answer to management was not sent");
    }
}

/// `None` leaves the answer to the other agent with this identity.
async fn answer(shared: &Shared, request: NodeRequest) -> Option<NodeAnswer> {
    match request {
        NodeRequest::Profile { user_key, common_name } => {
            unless_refused(shared, profile::answer(shared, user_key, common_name)).await
        }
        NodeRequest::Sessions { offset } => unless_refused(shared, sessions::answer(shared, offset)).await,
        NodeRequest::Disconnect { cid, since } => {
            unless_refused(shared, disconnect::answer(shared, SessionKey { cid, since })).await
        }
        NodeRequest::Drain { draining, pace } => {
            unless_refused(shared, drain::answer(shared, draining.then_some(pace.max(1)))).await
        }
        NodeRequest::Apply { command } => unless_refused(shared, apply::answer(shared, command)).await,
        // A refused agent answers too: the handshake may tell it that it is accepted again, or a clone that it is refused.
        NodeRequest::Sync => Some(sync::answer(shared)),
        NodeRequest::RestartServer { only_ask } => {
            unless_refused(shared, restart_server::answer(shared, only_ask)).await
        }
        NodeRequest::Users { after } => unless_refused(shared, users::answer(shared, after)).await,
        NodeRequest::Retire { reason } => Some(retire::answer(shared, &reason).await.unwrap_or_else(failed)),
    }
}

/// Answers, unless management refused this agent: it may be a clone of the node.
async fn unless_refused<E: std::error::Error + 'static>(
    shared: &Shared,
    answer: impl Future<Output = Result<NodeAnswer, E>>,
) -> Option<NodeAnswer> {
    match shared.readiness.refusal() {
        Some(_) => None,
        None => Some(answer.await.unwrap_or_else(failed)),
    }
}

/// The reason goes to people, with its causes.
fn failed(error: impl std::error::Error + 'static) -> NodeAnswer {
    NodeAnswer::Failed {
        error: chain(&error).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::BackendError;

    #[test]
    fn a_failure_is_told_with_its_cause() {
        let away = std::io::Error::other("OpenVPN is away");
        let NodeAnswer::Failed { error } = failed(BackendError::Server(away.into())) else {
            panic!("another answer");
        };
        assert!(error.ends_with(": OpenVPN is away"), "{error}");
    }
}
