//! How far the enrolment of this node is.

use tokio::sync::watch;

/// Whether this node has enrolled, and if not, why. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Enrolling {
    state: watch::Sender<State>,
}

#[derive(Debug, Clone)]
enum State {
    /// In an earlier run, or in this one.
    Done,
    /// No try has failed yet.
    Asking,
    /// The last try failed, for this reason.
    Failed(String),
}

impl Enrolling {
    /// At the start. `has_enrolled`: an earlier run did.
    pub fn new(has_enrolled: bool) -> Self {
        let state = if has_enrolled { State::Done } else { State::Asking };
        Self {
            state: watch::Sender::new(state),
        }
    }

    /// It has enrolled.
    pub fn done(&self) {
        self.state.send_replace(State::Done);
    }

    /// A try failed, for this reason; another one follows.
    pub fn failed(&self, reason: String) {
        self.state.send_replace(State::Failed(reason));
    }

    /// Why there is no identity yet and what to do, in words; `None` once there is one.
    pub fn text(&self) -> Option<String> {
        match &*self.state.borrow() {
            State::Done => None,
            State::Asking => Some(
                "management has not enrolled this node yet: the agent is asking it, at MANAGEMENT_URL with the JOIN_TOKEN".to_owned(),
            ),
            State::Failed(reason) => Some(format!(
                "management has not enrolled this node yet: {reason}. The agent tries again; if that does not help, see that \
                 MANAGEMENT_URL is right and that JOIN_TOKEN was made for this node and not used"
            )),
        }
    }
}
