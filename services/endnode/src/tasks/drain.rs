//! Draining: while management wants it, clients are moved to their next servers at the pace that it asked for. Clients that log in
//! meanwhile are moved at once.

mod mover;

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};
use vpnmanager_runtime::error_chain::chain;

use self::mover::Mover;
use crate::{
    backend::{BackendError, Parting, VpnBackend as _},
    coordination::draining::Draining,
    node::Node,
    openvpn::is_at_old_listener,
    vpn::Vpn,
};

/// Between two looks at who is connected; a login is looked at when it happens.
const LOOK: Duration = Duration::from_millis(200);
/// Between two extra heartbeats that tell management how many sessions are left.
const TELL_PROGRESS: Duration = Duration::from_secs(1);

/// Moves clients while management wants it, until stopped.
pub async fn run(node: Node, vpn: Vpn, draining: Draining, stop: CancellationToken) -> anyhow::Result<()> {
    let (mut paces, mut logins) = (draining.watch(), vpn.logins());
    let drain = Drain { node, vpn };
    let mut round: Option<Round> = None;
    while !stop.is_cancelled() {
        let pace = *paces.borrow_and_update();
        match (pace, &mut round) {
            (Some(pace), Some(round)) => drain.work(round, pace).await,
            (Some(pace), None) => {
                info!(pace, "Draining: clients are moved to their next servers");
                drain.node.wakes.heartbeat.wake();
                let begun = round.insert(Round::default());
                drain.work(begun, pace).await;
            }
            (None, Some(_)) => {
                info!("Draining ended: clients may stay");
                drain.node.wakes.heartbeat.wake();
                round = None;
            }
            (None, None) => {}
        }
        tokio::select! {
            changed = paces.changed() => changed?,
            Ok(()) = logins.changed(), if round.is_some() => {}
            () = sleep(LOOK), if round.is_some() => {}
            () = stop.cancelled() => {}
        }
    }
    Ok(())
}

struct Drain {
    node: Node,
    vpn: Vpn,
}

/// One period of draining, from its begin to its end.
#[derive(Debug, Default)]
struct Round {
    mover: Mover,
    told: Option<(usize, Instant)>,
}

impl Drain {
    async fn work(&self, round: &mut Round, pace: u32) {
        let left = match self.move_some(&mut round.mover, pace).await {
            Ok(left) => left,
            Err(error) => {
                // A server that is down has no clients; its health says so elsewhere.
                debug!(error = %chain(&error), "Clients could not be moved this time");
                return;
            }
        };
        let news = round
            .told
            .is_none_or(|(known, at)| known != left && at.elapsed() > TELL_PROGRESS);
        if news {
            info!(sessions = left, "Sessions left while draining");
            self.node.wakes.heartbeat.wake();
            round.told = Some((left, Instant::now()));
        }
    }

    /// Moves the clients whose turn it is. Returns how many sessions there were before.
    async fn move_some(&self, mover: &mut Mover, pace: u32) -> Result<usize, BackendError> {
        let mut sessions = self.vpn.sessions().await?;
        // Old profiles name no other server.
        sessions.retain(|session| !is_at_old_listener(session.cid));
        let due = mover.due(&sessions, pace, Instant::now());
        self.vpn.disconnect(&due, Parting::NextRemote).await?;
        Ok(sessions.len())
    }
}

#[cfg(test)]
mod tests {
    use vpnmanager_nats::ids::CommonName;

    use super::*;
    use crate::backend::FakeBackend;

    const SOON: Duration = Duration::from_secs(5);

    async fn empties(fake: &FakeBackend) -> Duration {
        let began = Instant::now();
        while !fake.sessions().await.expect("sessions").is_empty() {
            assert!(began.elapsed() < SOON, "sessions are left");
            sleep(Duration::from_millis(10)).await;
        }
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn clients_are_moved_in_pace_newcomers_at_once_and_none_once_it_is_over() {
        let (fake, draining, stop) = (FakeBackend::default(), Draining::new(None), CancellationToken::new());
        let names: Vec<CommonName> = (0..20)
            .map(|number| format!("user{number}.x").parse().expect("a name"))
            .collect();
        fake.allow(&names).await.expect("allowed");
        for name in names.iter().skip(1) {
            fake.connect(name);
        }
        let node = Node::new("n1".parse().expect("an id"));
        let task = run(node, Vpn::from(fake.clone()), draining.clone(), stop.clone());
        let look = async {
            sleep(SOON).await;
            assert_eq!(fake.sessions().await.expect("sessions").len(), 19);
            draining.set(Some(10));
            let took = empties(&fake).await;
            assert!((1_600..2_400).contains(&took.as_millis()), "{took:?}");
            fake.connect(&names[0]);
            let took = empties(&fake).await;
            assert!(took < LOOK, "{took:?}");
            draining.set(None);
            sleep(LOOK).await;
            fake.connect(&names[0]);
            sleep(SOON).await;
            assert_eq!(fake.sessions().await.expect("sessions").len(), 1);
            stop.cancel();
        };
        let (done, ()) = tokio::join!(task, look);
        done.expect("ended");
    }
}
