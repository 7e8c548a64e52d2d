//! Whether this node serves: never before it holds a complete snapshot, never after management said that it must not.

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    backend::{Serving, VpnBackend as _},
    journal::{Journal, JournalError},
    vpn::Vpn,
};

/// How long a start waits for management, so that what was revoked meanwhile is refused before the first login.
/// A complete journal serves without it then.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is known about serving. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Readiness {
    state: watch::Sender<State>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct State {
    complete: bool,
    caught_up: bool,
    refused: Option<String>,
}

impl Readiness {
    /// As the journal knows it at the start.
    pub fn new(complete: bool, refused: Option<String>) -> Self {
        Self {
            state: watch::Sender::new(State {
                complete,
                caught_up: false,
                refused,
            }),
        }
    }

    /// Everything that management wants is journaled.
    pub fn caught_up(&self) {
        self.state.send_if_modified(|state| {
            let before = state.clone();
            *state = State {
                complete: true,
                caught_up: true,
                refused: None,
            };
            *state != before
        });
    }

    /// The journal holds everything, though perhaps not the latest.
    pub fn completed(&self) {
        self.state
            .send_if_modified(|state| !std::mem::replace(&mut state.complete, true));
    }

    /// Management lets this node serve.
    pub fn accept(&self) {
        self.state.send_if_modified(|state| state.refused.take().is_some());
    }

    /// Management says that this node must not serve.
    pub fn refuse(&self, reason: &str) {
        self.state.send_if_modified(|state| {
            let news = state.refused.as_deref() != Some(reason);
            state.refused = Some(reason.to_owned());
            news
        });
    }

    /// The same, journaled first: the next run of the agent does not serve either.
    ///
    /// # Errors
    /// When the journal does not take it; then nothing changes.
    pub async fn retire(&self, journal: &Journal, reason: &str) -> Result<(), JournalError> {
        let noted = reason.to_owned();
        journal.write(move |records| records.set_refused(Some(&noted))).await?;
        self.refuse(reason);
        Ok(())
    }

    /// Whether the node ever held everything.
    pub fn is_complete(&self) -> bool {
        self.state.borrow().complete
    }

    /// Whether all that management wanted at the last handshake is journaled.
    pub fn is_caught_up(&self) -> bool {
        self.state.borrow().caught_up
    }

    /// Waits until management says that this node must not serve.
    pub async fn refused(&self) {
        self.wait_for(|state| state.refused.is_some()).await;
    }

    /// Waits until management lets this node serve.
    pub async fn accepted(&self) {
        self.wait_for(|state| state.refused.is_none()).await;
    }

    async fn wait_for(&self, is_so: impl FnMut(&State) -> bool) {
        // It cannot be closed: this handle holds it.
        let mut states = self.state.subscribe();
        let _state = states.wait_for(is_so).await;
    }

    /// Why this node must not serve, if so.
    pub fn refusal(&self) -> Option<String> {
        self.state.borrow().refused.clone()
    }
}

/// Tells the server what is known, as it changes.
pub async fn run(readiness: Readiness, vpn: Vpn, stop: CancellationToken) -> anyhow::Result<()> {
    let mut states = readiness.state.subscribe();
    let patience = tokio::time::sleep(PATIENCE);
    tokio::pin!(patience);
    let mut waited = false;
    let mut last = None;
    while !stop.is_cancelled() {
        let state = states.borrow_and_update().clone();
        let serving = decide(&state, waited);
        if last != Some(serving) {
            announce(serving, &state);
            vpn.set_serving(serving).await;
            last = Some(serving);
        }
        tokio::select! {
            changed = states.changed() => changed?,
            () = &mut patience, if !waited => waited = true,
            () = stop.cancelled() => {}
        }
    }
    Ok(())
}

fn decide(state: &State, waited: bool) -> Serving {
    match state {
        State { refused: Some(_), .. } => Serving::No,
        State {
            complete: true,
            caught_up,
            ..
        } if *caught_up || waited => Serving::Yes,
        State { .. } => Serving::Undecided,
    }
}

fn announce(serving: Serving, state: &State) {
    match serving {
        Serving::Yes => info!(in_sync = state.caught_up, "This node serves"),
        Serving::Undecided => info!(
            complete = state.complete,
            "This node waits for management before it serves"
        ),
        Serving::No => warn!(reason = state.refused, "This node must not serve"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::FakeBackend;

    #[test]
    fn serving_needs_a_complete_snapshot_and_no_refusal() {
        let state = |complete, caught_up, refused: Option<&str>| State {
            complete,
            caught_up,
            refused: refused.map(str::to_owned),
        };
        let cases = [
            (state(false, false, None), true, Serving::Undecided),
            (state(true, false, None), false, Serving::Undecided),
            (state(true, false, None), true, Serving::Yes),
            (state(true, true, None), false, Serving::Yes),
            (state(true, true, Some("deregistered")), true, Serving::No),
        ];
        for (state, waited, expected) in cases {
            assert_eq!(decide(&state, waited), expected, "{state:?} waited {waited}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_complete_journal_serves_after_five_seconds_without_management() {
        let (fake, readiness, stop) = (
            FakeBackend::default(),
            Readiness::new(true, None),
            CancellationToken::new(),
        );
        let task = run(readiness, Vpn::Fake(fake.clone()), stop.clone());
        let look = async {
            tokio::time::sleep(PATIENCE - Duration::from_millis(10)).await;
            let before = fake.serving();
            tokio::time::sleep(Duration::from_millis(20)).await;
            stop.cancel();
            (before, fake.serving())
        };
        let (done, seen) = tokio::join!(task, look);
        done.unwrap();
        assert_eq!(seen, (Serving::Undecided, Serving::Yes));
    }
}
