//! Why there is no bus: the client only keeps trying, so a refused identity is found out and said here.

use std::{sync::Arc, time::Duration};

use async_nats::{Client, ConnectErrorKind, ConnectOptions, connection::State};
use nkeys::KeyPair;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};
use vpnmanager_nats::{connect::BusAddress, permissions::inbox_prefix};

use crate::{identity::Identity, node::Node};

/// How long a connection may be missing before it is looked into, and how often it is said.
const PERIOD: Duration = Duration::from_secs(10);
const REPEATED: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What the task needs.
pub struct BusWatch {
    /// This node.
    pub node: Node,
    /// With what it connects.
    pub identity: Identity,
    /// The bus key.
    pub key: KeyPair,
    /// Where the bus is.
    pub address: BusAddress,
    /// The connection.
    pub bus: Client,
    /// For the local API.
    pub refusal: BusRefusal,
}

/// Why the bus refuses this node, as far as is known. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct BusRefusal {
    reason: watch::Sender<Option<String>>,
}

impl BusRefusal {
    /// The reason in words; `None` while the bus lets this node in or cannot be reached.
    pub fn reason(&self) -> Option<String> {
        self.reason.borrow().clone()
    }

    fn set(&self, reason: Option<String>) {
        self.reason.send_replace(reason);
    }
}

/// Runs until stopped. Deletes nothing, whatever it finds: the same identity may be good again in a minute.
///
/// # Errors
/// None: the type fits `Tasks::spawn`.
pub async fn run(watch: BusWatch, stop: CancellationToken) -> anyhow::Result<()> {
    let mut pause = PERIOD;
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => return Ok(()),
        }
        pause = match watch.bus.connection_state() {
            State::Connected => {
                watch.refusal.set(None);
                PERIOD
            }
            State::Disconnected | State::Pending => watch.look().await,
        };
    }
}

impl BusWatch {
    async fn look(&self) -> Duration {
        match self.try_once().await {
            Ok(()) => {
                self.refusal.set(None);
                PERIOD
            }
            Err(kind @ (ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation)) => {
                error!(
                    node.id = %self.node.id,
                    refusal = %kind,
                    "The bus refuses this node's identity: it was revoked, or belongs to another fleet. The VPN goes on with what \
                     the journal holds. Register the node again in management, or move the state folder away and enrol anew"
                );
                self.refusal.set(Some(kind.to_string()));
                REPEATED
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

    /// A second connection beside the client's own, only to hear the reason.
    async fn try_once(&self) -> Result<(), ConnectErrorKind> {
        let key = Arc::new(self.key.clone());
        let mut options = ConnectOptions::with_jwt(self.identity.bus_jwt.clone(), move |nonce| {
            let key = Arc::clone(&key);
            async move { key.sign(&nonce).map_err(async_nats::AuthError::new) }
        })
        .custom_inbox_prefix(inbox_prefix(&self.node.id))
        .connection_timeout(CONNECT_TIMEOUT)
        .max_reconnects(1);
        if self.address.urls.iter().any(|url| url.starts_with("tls://")) {
            options = options.require_tls(true);
        }
        if let Some(ca) = &self.address.ca_file {
            options = options.add_root_certificates(ca.clone());
        }
        match options.connect(self.address.urls.clone()).await {
            Ok(probe) => {
                // It said what it was asked; the real connection follows by itself.
                let _closing = probe.drain().await;
                Ok(())
            }
            Err(error) => Err(error.kind()),
        }
    }
}
