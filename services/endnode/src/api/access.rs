//! Who may use the local API: everybody who has the node's one key, and root at its socket.

use secrecy::{ExposeSecret, SecretString};
use tracing::warn;
use vpnmanager_openapi::{
    auth::{Authenticator, Identified, same_key},
    problem::ApiError,
    server::Source,
};
use vpnmanager_runtime::log_limit::LogLimit;

use crate::metrics::work::WorkMetrics;

static REFUSED: LogLimit = LogLimit::new("access was refused");

/// The caller, who presented the key, or is root of this machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operator;

/// The node's key.
pub(super) struct LocalKey {
    key: SecretString,
    work: WorkMetrics,
}

impl LocalKey {
    /// Refusals are told to `work`.
    pub(super) fn new(key: SecretString, work: WorkMetrics) -> Self {
        Self { key, work }
    }
}

impl Authenticator<Operator> for LocalKey {
    fn identify<'a>(&'a self, key: &'a str, from: Option<Source>) -> Identified<'a, Operator> {
        let known = same_key(key, self.key.expose_secret());
        Box::pin(async move {
            if known {
                Ok(Operator)
            } else {
                self.work.refused();
                if let Some(times) = REFUSED.admit() {
                    warn!(
                        client.address = from.map(tracing::field::display),
                        times, "Access was refused: an unknown key"
                    );
                }
                Err(ApiError::unauthorized("this key is not known"))
            }
        })
    }

    fn local(&self) -> Option<Operator> {
        Some(Operator)
    }
}
