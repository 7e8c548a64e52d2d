//! What management last told of the network of the node's pool, and how far the node is with it.

use tokio::sync::watch;
use vpnmanager_nats::network::{AppliedNetwork, PoolNetwork};

use crate::journal::{Journal, JournalError};

/// What management told, and what became of it; at first it never said anything. Cheap to clone; all clones are the same.
#[derive(Debug, Clone, Default)]
pub struct NetworkProgress {
    told: watch::Sender<Option<PoolNetwork>>,
    state: watch::Sender<NetworkState>,
}

/// What became of what management told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkState {
    /// Which network is wholly applied. `None` also where the agent does not run OpenVPN.
    pub applied: Option<AppliedNetwork>,
    /// Why it is not, and what to do.
    pub fault: Option<String>,
    /// What of it this node cannot have, and what to do. The rest is applied, and the node is as good as others.
    pub lack: Option<String>,
}

impl NetworkProgress {
    /// Management said this. It takes effect also when the journal does not take it.
    ///
    /// # Errors
    /// The next run of the agent begins with what was journaled before. Management says it again with each handshake.
    pub async fn told(&self, journal: &Journal, network: PoolNetwork) -> Result<(), JournalError> {
        self.learn(network.clone());
        let journaled = journal.read(|records| records.network()).await?;
        if journaled.as_ref() == Some(&network) {
            return Ok(());
        }
        journal.write(move |records| records.set_network(&network)).await
    }

    /// The same in memory alone, as for what the journal holds at the start. What is known already wakes nobody.
    pub fn learn(&self, network: PoolNetwork) {
        self.told.send_if_modified(|told| {
            let is_news = told.as_ref() != Some(&network);
            if is_news {
                *told = Some(network);
            }
            is_news
        });
    }

    /// What management told last, now and as it changes.
    pub fn watch(&self) -> watch::Receiver<Option<PoolNetwork>> {
        self.told.subscribe()
    }

    /// Notes what became of it. True when that is news.
    pub fn note(&self, state: NetworkState) -> bool {
        self.state.send_if_modified(|known| {
            let is_news = *known != state;
            if is_news {
                *known = state;
            }
            is_news
        })
    }

    /// Which network is wholly applied.
    pub fn applied(&self) -> Option<AppliedNetwork> {
        self.state.borrow().applied.clone()
    }

    /// Why it is not, and what to do.
    pub fn fault(&self) -> Option<String> {
        self.state.borrow().fault.clone()
    }

    /// What of it this node cannot have, and what to do.
    pub fn lack(&self) -> Option<String> {
        self.state.borrow().lack.clone()
    }
}
