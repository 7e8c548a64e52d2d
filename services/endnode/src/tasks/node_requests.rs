//! Requests from management: the profile of a credential, the live sessions, moving clients away, the handshake, leaving the fleet.

use async_nats::Client;
use futures_util::StreamExt;
use secrecy::ExposeSecret;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use vpnmanager_nats::{
    envelope::Envelope,
    ids::{CommonName, UserKey},
    node_requests::{LiveSession, NodeAnswer, NodeRequest, SESSIONS_PAGE},
    permissions::is_request_of_management,
    subjects,
};
use vpnmanager_runtime::backoff::jittered;

use super::{drain::Draining, serving::Readiness};
use crate::{
    backend::{Session, VpnBackend as _},
    journal::Journal,
    node::Node,
    vpn::Vpn,
};

/// Requests answered at the same time.
const CONCURRENT: usize = 16;

/// What the task needs.
#[derive(Debug, Clone)]
pub struct NodeRequests {
    /// This node.
    pub node: Node,
    /// Where profiles are.
    pub journal: Journal,
    /// Where sessions are.
    pub vpn: Vpn,
    /// Whether clients are moved away.
    pub draining: Draining,
    /// Whether this node serves.
    pub readiness: Readiness,
    /// The way to management.
    pub bus: Client,
}

/// Runs until stopped.
pub async fn run(requests: NodeRequests, stop: CancellationToken) -> anyhow::Result<()> {
    while !stop.is_cancelled() {
        match requests
            .bus
            .subscribe(subjects::node_requests_of(&requests.node.id))
            .await
        {
            Ok(subscription) => {
                let messages = subscription.take_until(stop.clone().cancelled_owned());
                messages
                    .for_each_concurrent(CONCURRENT, |message| requests.answer(message))
                    .await;
            }
            Err(error) => warn!(error = %error, "Requests of management cannot be heard, trying again"),
        }
        tokio::select! {
            () = tokio::time::sleep(jittered(std::time::Duration::from_secs(1))) => {}
            () = stop.cancelled() => {}
        }
    }
    Ok(())
}

impl NodeRequests {
    async fn answer(&self, message: async_nats::Message) {
        // Checked before the payload is read: anything else was put here by another node.
        let Some(reply) = message
            .reply
            .filter(|reply| is_request_of_management(Some(reply.as_str())))
        else {
            warn!(request.subject = %message.subject, "Dropped a message that is no request of management");
            return;
        };
        let refusal = self.readiness.refusal();
        let answer = match Envelope::<NodeRequest>::decode(&message.payload) {
            Ok(envelope) => match envelope.body {
                NodeRequest::Retire { reason } => self.retire(reason).await,
                // A refused agent too: it may hear that it is accepted, and a clone that it is refused.
                NodeRequest::Sync => {
                    self.node.wakes.prompt.wake();
                    NodeAnswer::Done
                }
                // A clone leaves the answer to the node itself.
                NodeRequest::Profile { .. } | NodeRequest::Sessions { .. } | NodeRequest::Drain { .. }
                    if refusal.is_some() =>
                {
                    return;
                }
                NodeRequest::Profile { user_key, common_name } => self.profile(user_key, common_name).await,
                NodeRequest::Sessions { offset } => self.sessions(offset).await,
                NodeRequest::Drain { draining, pace } => self.drain(draining.then_some(pace.max(1))).await,
            },
            Err(error) => NodeAnswer::Failed {
                error: error.to_string(),
            },
        };
        if let Err(error) = self.bus.publish(reply, Envelope::new(answer).encode()).await {
            debug!(error = %error, "An answer to management was not sent");
        }
    }

    async fn profile(&self, user: UserKey, name: CommonName) -> NodeAnswer {
        match self.journal.read(move |records| records.profile(user, &name)).await {
            Ok(Some(profile)) => NodeAnswer::Profile {
                profile: profile.text.expose_secret().to_owned(),
                checksum: profile.checksum,
            },
            Ok(None) => NodeAnswer::NotFound {
                detail: "this node holds no profile of that credential".to_owned(),
            },
            Err(error) => NodeAnswer::Failed {
                error: error.to_string(),
            },
        }
    }

    /// Journaled first, so that the next run of the agent goes on with it.
    async fn drain(&self, pace: Option<u32>) -> NodeAnswer {
        if self.draining.pace() != pace {
            let journaled = self.journal.write(move |records| records.set_drain_pace(pace)).await;
            if let Err(error) = journaled {
                return NodeAnswer::Failed {
                    error: error.to_string(),
                };
            }
            self.draining.set(pace);
        }
        self.node.wakes.heartbeat.wake();
        NodeAnswer::Done
    }

    async fn retire(&self, reason: String) -> NodeAnswer {
        match self.readiness.retire(&self.journal, &reason).await {
            Ok(()) => NodeAnswer::Done,
            Err(error) => NodeAnswer::Failed {
                error: error.to_string(),
            },
        }
    }

    async fn sessions(&self, offset: u32) -> NodeAnswer {
        match self.vpn.sessions().await {
            Ok(sessions) => page(sessions, offset),
            Err(error) => NodeAnswer::Failed {
                error: error.to_string(),
            },
        }
    }
}

/// Oldest first, so that pages stay in place while clients come.
fn page(mut sessions: Vec<Session>, offset: u32) -> NodeAnswer {
    sessions.sort_by_key(|session| (session.since, session.cid));
    let from = usize::try_from(offset).unwrap_or(usize::MAX).min(sessions.len());
    let rest = sessions.split_off(from);
    let more = rest.len() > SESSIONS_PAGE;
    NodeAnswer::Sessions {
        sessions: rest.into_iter().take(SESSIONS_PAGE).filter_map(live).collect(),
        more,
    }
}

/// `None` for a half-open session, or one of a certificate that is none of ours.
fn live(session: Session) -> Option<LiveSession> {
    Some(LiveSession {
        common_name: session.common_name.parse().ok()?,
        real_address: session.real_address,
        virtual_address: Some(session.virtual_address).filter(|address| !address.is_empty()),
        bytes_in: session.bytes_in,
        bytes_out: session.bytes_out,
        since: session.since,
    })
}
