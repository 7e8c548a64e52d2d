//! Why the bus is not connected. The client tries again for ever, and says nothing of the cause.

use std::{
    error::Error,
    fmt, io,
    iter::successors,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_nats::{ConnectError, ConnectErrorKind, ConnectOptions};
use futures_util::future::join_all;
use vpnmanager_nats::{attempt::attempt, connect::BusAddress};
use vpnmanager_runtime::error_chain::innermost;

/// How long an attempt to connect may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// The way to the bus, beside the client that is there. Cheap to clone; all clones share what was found out.
#[derive(Debug, Clone)]
pub struct BusReach {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    address: BusAddress,
    credentials: PathBuf,
    fault: Mutex<Option<BusFault>>,
}

/// Why no address of the bus takes a connection. Shown, it is the text for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusFault {
    /// Each address with its cause: `tls://bus:4222: Connection refused`. The configuration takes no address with a password in it.
    pub causes: String,
    /// What to do about it.
    pub advice: String,
}

impl fmt::Display for BusFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the bus is not connected ({}): {}", self.causes, self.advice)
    }
}

impl BusReach {
    /// The bus at this address, for the holder of this credentials file.
    #[must_use]
    pub fn to(address: BusAddress, credentials: PathBuf) -> Self {
        Self {
            shared: Arc::new(Shared {
                address,
                credentials,
                fault: Mutex::default(),
            }),
        }
    }

    /// The addresses, for people.
    #[must_use]
    pub fn place(&self) -> String {
        self.shared.address.shown()
    }

    /// Tries each address once, all at the same time, and notes what came of it: `None` if one of them takes connections. Takes up to 2 s.
    pub async fn look(&self) -> Option<BusFault> {
        let urls = &self.shared.address.urls;
        let refusals: Option<Vec<Refusal>> = join_all(urls.iter().map(|url| self.refusal_of(url)))
            .await
            .into_iter()
            .collect();
        let fault = refusals.map(|refusals| fault_of(urls, &refusals));
        self.note(fault.clone());
        fault
    }

    /// Notes that it is connected.
    pub fn forget(&self) {
        self.note(None);
    }

    /// What to tell people while it is not connected.
    #[must_use]
    pub fn explain(&self) -> String {
        let fault = self.shared.fault.lock().unwrap_or_else(PoisonError::into_inner);
        match fault.as_ref() {
            Some(fault) => fault.to_string(),
            None => format!("the bus at {} is not connected: trying again", self.place()),
        }
    }

    fn note(&self, fault: Option<BusFault>) {
        *self.shared.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    /// Why this address takes no connection; `None` if it takes one.
    async fn refusal_of(&self, url: &str) -> Option<Refusal> {
        let options = match ConnectOptions::with_credentials_file(&self.shared.credentials).await {
            Ok(options) => options,
            Err(error) => return Some(Refusal::of_credentials(&error)),
        };
        let address = BusAddress {
            urls: vec![url.to_owned()],
            ca_file: self.shared.address.ca_file.clone(),
        };
        // The name service has no time of its own.
        match tokio::time::timeout(PATIENCE, attempt(options, &address, PATIENCE)).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(Refusal::of(&error)),
            Err(_elapsed) => Some(Refusal::silence()),
        }
    }
}

/// Why one address takes no connection, and what to do.
#[derive(Debug)]
struct Refusal {
    cause: String,
    advice: &'static str,
}

impl Refusal {
    fn of(error: &ConnectError) -> Self {
        match error.kind() {
            ConnectErrorKind::TimedOut => Self::silence(),
            ConnectErrorKind::Dns => Self {
                cause: format!("its name is not known: {}", innermost(error)),
                advice: "correct the name in NATS_URL, or mend the name service of this machine",
            },
            ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => Self {
                cause: "it refuses the credential of management".to_owned(),
                advice: "it is another bus than that of BUS_DIR, or runs with another configuration: start nats-server with the \
                         nats-server.conf of BUS_DIR, or let NATS_URL name the bus of this fleet",
            },
            ConnectErrorKind::Tls => Self::of_tls(error),
            ConnectErrorKind::Io if is_of_tls(error) => Self::of_tls(error),
            ConnectErrorKind::Io | ConnectErrorKind::ServerParse | ConnectErrorKind::MaxReconnects => Self {
                cause: innermost(error),
                advice: "see that nats-server runs there, and that NATS_URL names it",
            },
        }
    }

    fn of_tls(error: &ConnectError) -> Self {
        Self {
            cause: format!("TLS failed: {}", innermost(error)),
            advice: "let nats-server use the certificate that bus-init made in BUS_DIR; to add a name to it, run bus-init \
                     again with --host for each of its names",
        }
    }

    fn of_credentials(error: &io::Error) -> Self {
        Self {
            cause: format!("reading management.creds failed: {}", innermost(error)),
            advice: "put the files of bus-init back into BUS_DIR, readable for management",
        }
    }

    fn silence() -> Self {
        Self {
            cause: format!("no answer within {PATIENCE:?}"),
            advice: "see that its machine runs, and that nothing between drops what is sent to that port",
        }
    }
}

/// What several addresses have in common is said once.
fn fault_of(urls: &[String], refusals: &[Refusal]) -> BusFault {
    let causes: Vec<String> = urls
        .iter()
        .zip(refusals)
        .map(|(url, refusal)| format!("{url}: {}", refusal.cause))
        .collect();
    let mut advice: Vec<&str> = Vec::new();
    for refusal in refusals {
        if !advice.contains(&refusal.advice) {
            advice.push(refusal.advice);
        }
    }
    BusFault {
        causes: causes.join(", "),
        advice: advice.join("; "),
    }
}

/// Whether an error of the connection is one of TLS: the library wraps it as invalid data.
fn is_of_tls(error: &ConnectError) -> bool {
    let outermost: &(dyn Error + 'static) = error;
    successors(Some(outermost), |&error| error.source())
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::InvalidData)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_cause_and_the_same_advice_is_given_once() {
        let urls = ["tls://a:4222", "tls://b:4222", "tls://c:4222"].map(str::to_owned);
        let refused = || Refusal {
            cause: "Connection refused".to_owned(),
            advice: "start it",
        };
        let fault = fault_of(&urls, &[refused(), Refusal::silence(), refused()]);
        assert_eq!(
            fault.causes,
            "tls://a:4222: Connection refused, tls://b:4222: no answer within 2s, tls://c:4222: Connection refused"
        );
        assert!(
            fault.advice.starts_with("start it; see that its machine runs"),
            "{fault}"
        );
        assert_eq!(fault.advice.matches("start it").count(), 1, "{fault}");
    }
}
