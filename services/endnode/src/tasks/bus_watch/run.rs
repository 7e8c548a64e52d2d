//! The task: when to look, and what follows from what is found.

use std::time::Duration;

use async_nats::{ConnectErrorKind, connection::State};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use vpnmanager_nats::{
    endpoint::BusPlace,
    security::standing::{Question, Standing},
};
use vpnmanager_runtime::{backoff::jittered, error_chain::chain};

use super::{
    places::{note_told, try_other, try_present},
    renewed::{Renewed, keep_renewed},
};
use crate::{
    coordination::{bus_trouble::Cause, new_start::NewStart},
    enrolled::Enrolled,
    management::ManagementPlace,
    shared::Shared,
    standing::{StandingReply, ask_standing},
};

/// The first look comes soon: a node that was deregistered while its agent was away should not begin to serve.
const FIRST: Duration = Duration::from_secs(1);
/// Between two looks at the connection.
const PERIOD: Duration = Duration::from_secs(10);
/// Between two log lines about the same, and between two questions that management has answered.
const REPEATED: Duration = Duration::from_secs(60);
/// Management is somewhere else, if it has not answered on a bus that is connected for so long.
const UNANSWERED: Duration = Duration::from_secs(30);

/// What the task works with.
pub struct BusWatch {
    shared: Shared,
    enrolled: Enrolled,
    management: Option<ManagementPlace>,
    new_start: NewStart,
    /// When management last answered about a bus that is not there.
    answered: Option<Instant>,
    /// When the log last said that it is not there.
    warned: Option<Instant>,
}

/// Watches the connection until stopped. Deletes nothing, whatever it finds: the same identity may be accepted again in a minute.
/// Saves what is renewed of the identity meanwhile.
pub async fn run(
    mut watch: BusWatch,
    mut renewals: mpsc::Receiver<Renewed>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let (mut pause, mut said) = (FIRST, None);
    let mut told = watch.shared.contact.told();
    loop {
        tokio::select! {
            () = tokio::time::sleep(jittered(pause)) => {}
            changed = told.changed() => changed?,
            Some(renewed) = renewals.recv() => {
                if keep_renewed(&mut watch.enrolled, renewed) {
                    info!(node.id = %watch.shared.node.id, "The fleet has other authorities: the agent starts anew to use them. OpenVPN goes on");
                    watch.new_start.begin();
                }
                continue;
            }
            () = stop.cancelled() => return Ok(()),
        }
        if let Some(place) = told.borrow_and_update().clone() {
            note_told(&mut watch.enrolled, place);
        }
        pause = tokio::select! {
            pause = watch.look(&mut said) => pause,
            () = stop.cancelled() => return Ok(()),
        };
    }
}

impl BusWatch {
    /// Without a place management cannot be asked.
    pub fn new(shared: Shared, enrolled: Enrolled, management: Option<ManagementPlace>, new_start: NewStart) -> Self {
        Self {
            shared,
            enrolled,
            management,
            new_start,
            answered: None,
            warned: None,
        }
    }

    async fn look(&mut self, said: &mut Option<Instant>) -> Duration {
        if self.shared.bus.connection_state() == State::Connected {
            self.shared.bus_trouble.set(None);
            if self.shared.contact.unanswered_for() > UNANSWERED {
                self.look_elsewhere("management does not answer there").await;
            }
            return PERIOD;
        }
        let Err(error) = try_present(&self.enrolled).await else {
            self.shared.bus_trouble.set(None);
            return PERIOD;
        };
        match error.kind() {
            Some(kind @ (ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation)) => {
                self.shared.bus_trouble.set(Some(Cause::Refused(kind.to_string())));
                self.ask_management(kind, said).await
            }
            Some(
                ConnectErrorKind::ServerParse
                | ConnectErrorKind::Dns
                | ConnectErrorKind::TimedOut
                | ConnectErrorKind::Tls
                | ConnectErrorKind::Io
                | ConnectErrorKind::MaxReconnects,
            )
            | None => {
                let reason = chain(&error).to_string();
                self.shared.bus_trouble.set(Some(Cause::Unreachable(reason.clone())));
                self.look_elsewhere(&reason).await;
                PERIOD
            }
        }
    }

    /// The bus cannot be used where it was. Management may have said where it is now, or is asked over HTTP.
    async fn look_elsewhere(&mut self, reason: &str) {
        if self.try_place(self.enrolled.identity.told_bus.clone()).await {
            return;
        }
        if is_recent(self.answered) {
            return;
        }
        let present = self.enrolled.identity.bus_place();
        let management = match self.ask().await {
            Ok(StandingReply {
                standing: Standing::Deregistered,
                ..
            }) => {
                self.answered = Some(Instant::now());
                return self.retire().await;
            }
            Ok(reply) => {
                self.answered = Some(Instant::now());
                if let Some(jwt) = reply.bus_jwt {
                    self.enrolled.jwt.replace(jwt);
                }
                let told = reply.bus.as_ref().map(BusPlace::shown);
                if self.try_told(reply.bus).await {
                    return;
                }
                match told {
                    Some(told) => format!(
                        "it says of this node: {}, and that the bus is at {told}",
                        reply.standing
                    ),
                    None => format!("it says of this node: {}", reply.standing),
                }
            }
            Err(error) => format!("{error:#}"),
        };
        if is_recent(self.warned) {
            return;
        }
        self.warned = Some(Instant::now());
        warn!(
            node.id = %self.shared.node.id,
            bus = present.shown(),
            error = reason,
            management,
            "The bus cannot be used. The VPN goes on with what the journal holds; trying again"
        );
    }

    /// A refusal by the bus alone stops no VPN: it may be the wrong bus. Only an answer that management signed does.
    async fn ask_management(&mut self, refusal: ConnectErrorKind, said: &mut Option<Instant>) -> Duration {
        let unclear = match self.ask().await {
            Ok(StandingReply {
                standing: Standing::Registered,
                bus_jwt: Some(jwt),
                bus,
            }) => {
                self.enrolled.jwt.replace(jwt);
                if try_present(&self.enrolled).await.is_ok() {
                    self.renewed();
                    return PERIOD;
                }
                if self.try_told(bus).await {
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
        if is_recent(*said) {
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

    /// Tries what management answered, and notes it: a bus that is only about to be there is tried again at each look.
    async fn try_told(&mut self, told: Option<BusPlace>) -> bool {
        self.shared.contact.hear(told.clone());
        if let Some(place) = &told {
            note_told(&mut self.enrolled, place.clone());
        }
        self.try_place(told).await
    }

    /// Whether the bus is where management says, if that is somewhere else.
    async fn try_place(&mut self, told: Option<BusPlace>) -> bool {
        let present = self.enrolled.identity.bus_place();
        let Some(place) = told.filter(|place| *place != present) else {
            return false;
        };
        let is_there = try_other(&mut self.enrolled, place).await;
        if is_there {
            self.new_start.begin();
        }
        is_there
    }

    async fn ask(&self) -> anyhow::Result<StandingReply> {
        let Some(management) = &self.management else {
            anyhow::bail!("MANAGEMENT_URL is not set, so that management cannot be asked");
        };
        let question = Question::new(
            self.shared.node.id.clone(),
            self.enrolled.identity.bus_public_key.clone(),
        );
        Ok(ask_standing(management, &question, &self.enrolled.keys.bus, &self.enrolled.identity).await?)
    }

    fn renewed(&mut self) {
        info!(node.id = %self.shared.node.id, "Management gave a fresh credential for the bus");
        self.shared.bus_trouble.set(None);
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

fn is_recent(moment: Option<Instant>) -> bool {
    moment.is_some_and(|moment| moment.elapsed() < REPEATED)
}
