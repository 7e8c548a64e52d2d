//! Finds out why the bus is not connected. The client only keeps trying; this task notices a refused identity, says so in the log, and
//! asks management about it.

use std::time::Duration;

use async_nats::{ConnectErrorKind, connection::State};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};
use vpnmanager_nats::{
    permissions::inbox_prefix,
    security::standing::{Question, Standing},
};
use vpnmanager_runtime::{backoff::jittered, error_chain::chain};

use crate::{
    enrolled::Enrolled,
    shared::Shared,
    standing::{StandingReply, ask_standing},
};

/// The first look comes soon: a node that was deregistered while its agent was away should not begin to serve.
const FIRST: Duration = Duration::from_secs(1);
/// Between two looks at the connection.
const PERIOD: Duration = Duration::from_secs(10);
/// Between two log lines about the same refusal, and between two questions of a node that must not serve.
const REPEATED: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What the task works with.
pub struct BusWatch {
    shared: Shared,
    enrolled: Enrolled,
    management_url: Option<String>,
}

/// Watches the connection until stopped. Deletes nothing, whatever it finds: the same identity may be accepted again in a minute.
pub async fn run(mut watch: BusWatch, stop: CancellationToken) -> anyhow::Result<()> {
    let (mut pause, mut said) = (FIRST, None);
    loop {
        tokio::select! {
            () = tokio::time::sleep(jittered(pause)) => {}
            () = stop.cancelled() => return Ok(()),
        }
        pause = match watch.shared.bus.connection_state() {
            State::Connected => {
                watch.shared.bus_refusal.set(None);
                PERIOD
            }
            State::Disconnected | State::Pending => tokio::select! {
                pause = watch.look(&mut said) => pause,
                () = stop.cancelled() => return Ok(()),
            },
        };
    }
}

impl BusWatch {
    /// Without a `management_url` management cannot be asked.
    pub fn new(shared: Shared, enrolled: Enrolled, management_url: Option<String>) -> Self {
        Self {
            shared,
            enrolled,
            management_url,
        }
    }

    async fn look(&mut self, said: &mut Option<Instant>) -> Duration {
        match self.try_once().await {
            Ok(()) => {
                self.shared.bus_refusal.set(None);
                PERIOD
            }
            Err(kind @ (ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation)) => {
                self.shared.bus_refusal.set(Some(kind.to_string()));
                self.ask_management(kind, said).await
            }
            Err(
                kind @ (ConnectErrorKind::ServerParse
                | ConnectErrorKind::Dns
                | ConnectErrorKind::TimedOut
                | ConnectErrorKind::Tls
                | ConnectErrorKind::Io
                | ConnectErrorKind::MaxReconnects),
            ) => {
                debug!(reason = %kind, "The bus cannot be reached");
                PERIOD
            }
        }
    }

    /// Opens a second connection beside the client's own, only to learn the reason.
    async fn try_once(&self) -> Result<(), ConnectErrorKind> {
        let options = self.enrolled.jwt.options(self.enrolled.keys.bus.clone());
        let mut options = options
            .custom_inbox_prefix(inbox_prefix(&self.shared.node.id))
            .connection_timeout(CONNECT_TIMEOUT)
            .max_reconnects(1);
        if self.enrolled.address.urls.iter().any(|url| url.starts_with("tls://")) {
            options = options.require_tls(true);
        }
        if let Some(ca) = &self.enrolled.address.ca_file {
            options = options.add_root_certificates(ca.clone());
        }
        match options.connect(self.enrolled.address.urls.clone()).await {
            Ok(probe) => {
                // That it was opened is all we wanted to know; the client connects by itself.
                let _closing = probe.drain().await;
                Ok(())
            }
            Err(error) => Err(error.kind()),
        }
    }

    /// A refusal by the bus alone stops no VPN: it may be the wrong bus. Only an answer that management signed does.
    async fn ask_management(&mut self, refusal: ConnectErrorKind, said: &mut Option<Instant>) -> Duration {
        let unclear = match self.ask().await {
            Ok(StandingReply {
                standing: Standing::Registered,
                bus_jwt: Some(jwt),
            }) => {
                self.enrolled.jwt.replace(jwt);
                if self.try_once().await.is_ok() {
                    self.renewed();
                    return PERIOD;
                }
                "management gave a fresh credential, and this bus refuses it too".to_owned()
            }
            Ok(StandingReply {
                standing: Standing::Deregistered,
                ..
            }) => {
                self.retire().await;
                return REPEATED;
            }
            Ok(StandingReply { standing, .. }) => format!("management says of this key: {standing}"),
            Err(error) => format!("{error:#}"),
        };
        if said.is_some_and(|said| said.elapsed() < REPEATED) {
            return PERIOD;
        }
        *said = Some(Instant::now());
        error!(
            node.id = %self.shared.node.id,
            refusal = %refusal,
            management = unclear,
            "The bus refuses this node's identity: the node sent more than its budget and is cut off for a while (cut_off_until in \
             management's GET /api/endnodes), or its key was revoked, or it belongs to another fleet. The VPN goes on with what the \
             journal holds. A node that is cut off comes back by itself. To enrol again in the other cases, stop the agent, move only \
             identity.json out of its state folder, and start it with a join token made for this node: journal.db has the only copy \
             of the users' keys"
        );
        PERIOD
    }

    async fn ask(&self) -> anyhow::Result<StandingReply> {
        let Some(management_url) = &self.management_url else {
            anyhow::bail!("MANAGEMENT_URL is not set, so that management cannot be asked");
        };
        let question = Question::new(
            self.shared.node.id.clone(),
            self.enrolled.identity.bus_public_key.clone(),
        );
        Ok(ask_standing(
            management_url,
            &question,
            &self.enrolled.keys.bus,
            &self.enrolled.identity.ca,
        )
        .await?)
    }

    fn renewed(&mut self) {
        info!(node.id = %self.shared.node.id, "Management gave a fresh credential for the bus");
        self.shared.bus_refusal.set(None);
        self.enrolled.identity.bus_jwt = self.enrolled.jwt.text();
        if let Err(error) = self.enrolled.identity.save(&self.enrolled.dir, &self.enrolled.keys) {
            warn!(error = %chain(&error), "The fresh credential could not be saved; the next start asks for another one");
        }
    }

    async fn retire(&self) {
        let reason = "this node was deregistered";
        match self.shared.readiness.retire(&self.shared.journal, reason).await {
            Ok(()) => error!(
                node.id = %self.shared.node.id,
                "Management says that this node was deregistered: it serves nobody any more. To take it back, enrol it anew"
            ),
            Err(error) => {
                error!(error = %chain(&error), "This node was deregistered, and that could not be journaled; trying again")
            }
        }
    }
}
