//! Whether this node is ready to serve: never before it holds a complete snapshot, never after management said that it must not.

use tokio::sync::watch;

use crate::{
    backend::Serving,
    journal::{Journal, JournalError},
};

/// What is known about serving. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Readiness {
    state: watch::Sender<ReadinessState>,
}

/// What is known about serving at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadinessState {
    /// The journal once held everything.
    pub complete: bool,
    /// All that management wanted at the last handshake is journaled.
    pub caught_up: bool,
    /// Why this node must not serve, if so.
    pub refused: Option<String>,
}

impl ReadinessState {
    /// Whether the server should run. `waited`: management was given the time to say what changed while the agent was away.
    pub fn serving(&self, waited: bool) -> Serving {
        match self {
            Self { refused: Some(_), .. } => Serving::No,
            Self {
                complete: true,
                caught_up,
                ..
            } if *caught_up || waited => Serving::Yes,
            Self { .. } => Serving::Undecided,
        }
    }
}

impl Readiness {
    /// As the journal knows it at the start.
    pub fn new(complete: bool, refused: Option<String>) -> Self {
        Self {
            state: watch::Sender::new(ReadinessState {
                complete,
                caught_up: false,
                refused,
            }),
        }
    }

    /// Everything that management wants is journaled.
    pub fn caught_up(&self) {
        self.state.send_if_modified(|state| {
            let caught_up = ReadinessState {
                complete: true,
                caught_up: true,
                refused: None,
            };
            std::mem::replace(state, caught_up.clone()) != caught_up
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
            let is_new = state.refused.as_deref() != Some(reason);
            state.refused = Some(reason.to_owned());
            // What is wanted may change unheard from here on.
            state.caught_up = false;
            is_new
        });
    }

    /// As [`Self::refuse`], and journaled: the next run of the agent does not serve either.
    ///
    /// # Errors
    /// When the journal does not take it, because its disk is full or it is locked. This run does not serve all the same; call again, for
    /// the next one.
    pub async fn retire(&self, journal: &Journal, reason: &str) -> Result<(), JournalError> {
        self.refuse(reason);
        let noted = reason.to_owned();
        journal.write(move |records| records.set_refused(Some(&noted))).await
    }

    /// Whether the node ever held everything.
    pub fn is_complete(&self) -> bool {
        self.state.borrow().complete
    }

    /// Whether it is known who may be let in: by a journal that once held everything, or because nobody may.
    pub fn has_a_say(&self) -> bool {
        let state = self.state.borrow();
        state.complete || state.refused.is_some()
    }

    /// Whether all that management wanted at the last handshake is journaled.
    pub fn is_caught_up(&self) -> bool {
        self.state.borrow().caught_up
    }

    /// Why this node must not serve, if so.
    pub fn refusal(&self) -> Option<String> {
        self.state.borrow().refused.clone()
    }

    /// Waits until management says that this node must not serve.
    pub async fn refused(&self) {
        self.wait_for(|state| state.refused.is_some()).await;
    }

    /// Waits until management lets this node serve.
    pub async fn accepted(&self) {
        self.wait_for(|state| state.refused.is_none()).await;
    }

    /// What is known, now and as it changes.
    pub fn watch(&self) -> watch::Receiver<ReadinessState> {
        self.state.subscribe()
    }

    async fn wait_for(&self, is_so: impl FnMut(&ReadinessState) -> bool) {
        // It cannot be closed: this handle holds it.
        let mut states = self.state.subscribe();
        let _state = states.wait_for(is_so).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serving_needs_a_complete_snapshot_and_no_refusal() {
        let state = |complete, caught_up, refused: Option<&str>| ReadinessState {
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
            assert_eq!(state.serving(waited), expected, "{state:?} waited {waited}");
        }
    }
}
