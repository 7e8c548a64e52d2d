//! What the listeners of all nodes share.

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};

use super::{heartbeats::Mailbox, verdicts::Judged};
use crate::app::App;

/// What the listeners of all nodes share.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    pub(super) app: App,
    pub(super) mailbox: Mailbox,
    /// The most requests of all nodes that are answered at the same time. Each node waits in line for a seat, so none gets more than its
    /// turn.
    pub(super) seats: Arc<Semaphore>,
    pub(super) verdicts: mpsc::Sender<Judged>,
}
