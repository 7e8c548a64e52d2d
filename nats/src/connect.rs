//! Connections to the bus: TLS, credentials, reconnecting for ever with jitter.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, Instant},
};

use async_nats::{Auth, AuthError, Client, ConnectOptions, Event};
use nkeys::KeyPair;
use tokio::sync::watch;
use tracing::{info, warn};
use vpnmanager_log_limit::LogLimit;

use crate::{ids::NodeId, permissions};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
const LONGEST_RECONNECT_DELAY: Duration = Duration::from_secs(5);
/// Unread messages of one subscription.
const DEFAULT_ROOM: usize = 65_536;
/// A connection that is lost within this time after it was attempted counts as a failure.
const SHORT_LIVED: Duration = Duration::from_secs(10);

/// The address of the bus, and the CA to trust.
#[derive(Debug, Clone)]
pub struct BusAddress {
    /// `tls://host:port`, or `nats://` for a server of one's own on the same machine.
    pub urls: Vec<String>,
    /// The CA of the servers' certificates; required for `tls://`.
    pub ca_file: Option<PathBuf>,
}

impl BusAddress {
    /// Whether a connection must be encrypted, whatever the server says.
    #[must_use]
    pub fn uses_tls(&self) -> bool {
        self.urls.iter().any(|url| url.starts_with("tls://"))
    }

    /// The URLs, for people.
    #[must_use]
    pub fn shown(&self) -> String {
        self.urls.join(", ")
    }
}

/// Why connecting failed.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The key is not an NKey seed of a user.
    #[error("the bus key is not a valid NKey seed")]
    Key(#[source] nkeys::error::Error),
    /// A URL is malformed.
    #[error("a bus URL is malformed: expected tls://host:port or nats://host:port")]
    Url(#[source] std::io::Error),
    /// The credentials file cannot be read.
    #[error("reading the bus credentials {path} failed")]
    Credentials {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The server cannot be reached, or refuses.
    #[error("connecting to the bus failed")]
    Connect(#[source] async_nats::ConnectError),
}

/// A connection, with a count of how often it was made.
#[derive(Debug, Clone)]
pub struct Bus {
    /// The client; cheap to clone.
    pub client: Client,
    /// Grows with each new connection. After a change, subscriptions may have missed messages.
    pub connections: watch::Receiver<u64>,
}

/// A node's JWT, which may be replaced: each new connection uses the current one. Cheap to clone; Debug does not show the token.
#[derive(Clone)]
pub struct NodeJwt {
    text: Arc<RwLock<String>>,
}

/// The identity that connects.
pub enum Identity {
    /// Management or a tool, with a credentials file.
    Credentials(PathBuf),
    /// A node, with its JWT and the key that only it holds.
    Node {
        /// The node; also the prefix of its inbox, the only one that it may subscribe to.
        node: NodeId,
        /// The JWT given at enrolment, or a fresh one since.
        jwt: NodeJwt,
        /// The NKey seed, born on the node.
        seed: String,
    },
}

/// Connects, and stays connected. A node keeps trying from the start; management fails at once when the first try fails.
///
/// # Errors
/// When the credentials are unreadable, or the first connection fails for [`Identity::Credentials`].
pub async fn connect(address: &BusAddress, name: &str, identity: Identity) -> Result<Bus, ConnectError> {
    connect_with_room(address, name, identity, DEFAULT_ROOM).await
}

/// As [`connect`], with room for so many unread messages in each subscription; more are dropped.
///
/// # Errors
/// As [`connect`].
pub async fn connect_with_room(
    address: &BusAddress,
    name: &str,
    identity: Identity,
    room: usize,
) -> Result<Bus, ConnectError> {
    let (sender, connections) = watch::channel(0_u64);
    let options = match identity {
        Identity::Credentials(path) => ConnectOptions::new()
            .credentials_file(&path)
            .await
            .map_err(|source| ConnectError::Credentials { path, source })?,
        Identity::Node { node, jwt, seed } => {
            let key = KeyPair::from_seed(&seed).map_err(ConnectError::Key)?;
            jwt.options(key)
                .custom_inbox_prefix(permissions::inbox_prefix(&node))
                .retry_on_initial_connect()
        }
    };
    let at = address.shown();
    let mut options = options
        .name(name)
        .subscription_capacity(room)
        .request_timeout(Some(REQUEST_TIMEOUT))
        .connection_timeout(REQUEST_TIMEOUT)
        .reconnect_delay_callback(Pauses::default().into_callback())
        .event_callback(move |event| {
            if matches!(event, Event::Connected) {
                sender.send_modify(|count| *count += 1);
            }
            log(event, &at);
            std::future::ready(())
        });
    if address.uses_tls() {
        options = options.require_tls(true);
    }
    if let Some(ca) = &address.ca_file {
        options = options.add_root_certificates(ca.clone());
    }
    let servers: Result<Vec<async_nats::ServerAddr>, _> = address.urls.iter().map(|url| url.parse()).collect();
    let client = options
        .connect(servers.map_err(ConnectError::Url)?)
        .await
        .map_err(ConnectError::Connect)?;
    Ok(Bus { client, connections })
}

impl NodeJwt {
    /// Replaces the token; the next connection uses the new one.
    pub fn replace(&self, jwt: String) {
        *self.text.write().unwrap_or_else(PoisonError::into_inner) = jwt;
    }

    /// The current token.
    pub fn text(&self) -> String {
        self.text.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The options of a connection that authenticates with this token and its key.
    pub fn options(&self, key: KeyPair) -> ConnectOptions {
        let (jwt, key) = (self.clone(), Arc::new(key));
        ConnectOptions::with_auth_callback(move |nonce| {
            let (jwt, key) = (jwt.clone(), Arc::clone(&key));
            async move {
                let mut auth = Auth::new();
                auth.signature = Some(key.sign(&nonce).map_err(AuthError::new)?);
                auth.jwt = Some(jwt.text());
                Ok(auth)
            }
        })
    }
}

impl From<String> for NodeJwt {
    fn from(text: String) -> Self {
        Self {
            text: Arc::new(RwLock::new(text)),
        }
    }
}

impl std::fmt::Debug for NodeJwt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeJwt").finish_non_exhaustive()
    }
}

/// The pauses before connections. The client resets its count after each success, so a server that accepts a connection and
/// closes it at once (a credential in its last second) would be asked without pause: this count goes on in that case.
#[derive(Debug, Default)]
struct Pauses {
    series: Mutex<Series>,
}

#[derive(Debug, Default)]
struct Series {
    began: Option<Instant>,
    short_lived: usize,
}

impl Pauses {
    fn into_callback(self) -> impl Fn(usize) -> Duration + Send + Sync + 'static {
        move |attempts| reconnect_delay(attempts.saturating_add(self.short_lived(attempts, Instant::now())))
    }

    /// Connections before this one that were lost at once.
    fn short_lived(&self, attempts: usize, now: Instant) -> usize {
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        if attempts <= 1 {
            let soon = series.began.is_some_and(|began| now - began < SHORT_LIVED);
            series.short_lived = if soon { series.short_lived.saturating_add(1) } else { 0 };
            series.began = Some(now);
        }
        series.short_lived
    }
}

/// Exponential from 50 ms to 5 s, half of it random, so that a fleet does not reconnect at the same moment.
fn reconnect_delay(attempts: usize) -> Duration {
    let exponent = u32::try_from(attempts.min(8)).unwrap_or(8);
    let full = Duration::from_millis(25) * 2_u32.pow(exponent);
    let full = full.min(LONGEST_RECONNECT_DELAY);
    full / 2 + full.mul_f64(fastrand::f64() / 2.0)
}

/// Somebody else decides how many messages there are.
static DROPPED: LogLimit = LogLimit::new("messages were dropped");

fn log(event: Event, at: &str) {
    match event {
        Event::Connected => info!("Connected to the bus"),
        Event::Disconnected => warn!(bus.at = at, "Lost the bus, reconnecting"),
        Event::ServerError(error) => warn!(error = %error, "The bus server refused something"),
        Event::ClientError(error) => warn!(error = %error, "The bus client reported an error"),
        Event::SlowConsumer(_) => {
            if let Some(times) = DROPPED.admit() {
                warn!(times, "Messages were dropped: a subscription is not read fast enough");
            }
        }
        Event::LameDuckMode => info!("The bus server is about to stop"),
        Event::Draining | Event::Closed => info!("The bus connection is closing"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_does_not_last_is_no_success() {
        let (pauses, start) = (Pauses::default(), Instant::now());
        let at = |attempts, second| pauses.short_lived(attempts, start + Duration::from_secs(second));
        assert_eq!([at(1, 0), at(2, 1), at(3, 2)], [0, 0, 0]);
        assert_eq!([at(1, 3), at(2, 4), at(1, 5), at(1, 14)], [1, 1, 2, 3]);
        assert_eq!(at(1, 24), 0, "that one lasted");
    }

    #[test]
    fn reconnecting_slows_down_to_five_seconds_and_never_stops() {
        for (attempts, longest) in [
            (1, 50),
            (2, 100),
            (3, 200),
            (7, 3200),
            (8, 5000),
            (9, 5000),
            (usize::MAX, 5000),
        ] {
            let longest = Duration::from_millis(longest);
            for _ in 0..100 {
                let delay = reconnect_delay(attempts);
                assert!(
                    (longest / 2..=longest).contains(&delay),
                    "{delay:?} at attempt {attempts}"
                );
            }
        }
    }
}
