//! Brings one message to its receiver. Whatever the receiver is or says, it costs a bounded time and little memory, and leads nowhere else.

use std::{io, net::SocketAddr, time::Duration};

use reqwest::{
    Client, Response, StatusCode,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect::Policy,
};
use vpnmanager_nats::bounded::shortened;
use vpnmanager_runtime::error_chain::chain;

use super::target::{check_address, checked};
use crate::config::WebhooksConfig;

/// Until the whole answer is there.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Until the connection is there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// What is read of an answer.
const MOST_READ: usize = 4096;
/// What is kept of an error, in characters.
const MOST_KEPT: usize = 500;

/// Sends messages. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Courier {
    client: Client,
    config: WebhooksConfig,
}

/// One message.
#[derive(Debug)]
pub struct Message {
    /// The same in each attempt.
    pub id: String,
    /// When it is sent, in seconds since 1970.
    pub timestamp: i64,
    /// `v1,...`, separated by spaces.
    pub signatures: String,
    /// JSON.
    pub body: String,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver took it.
    Taken {
        /// The status of its answer.
        status: u16,
    },
    /// The receiver says that there is nobody any more, and never will be (410).
    Gone,
    /// It was not taken.
    Failed {
        /// The status of the answer, if there was one.
        status: Option<u16>,
        /// What went wrong, at most 500 characters.
        error: String,
    },
}

impl Courier {
    /// One that holds to this configuration.
    ///
    /// # Errors
    /// The certificates that the system trusts cannot be read.
    pub fn new(config: &WebhooksConfig) -> reqwest::Result<Self> {
        let client = Client::builder()
            .user_agent(concat!("vpnmanager-management/", env!("CARGO_PKG_VERSION")))
            .https_only(!config.plain_http)
            // Whoever answers must not choose another place.
            .redirect(Policy::none())
            // A proxy would resolve names by itself.
            .no_proxy()
            .dns_resolver(Checked { config: config.clone() })
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            // What a name leads to is looked up for each message.
            .pool_max_idle_per_host(0)
            .build()?;
        Ok(Self {
            client,
            config: config.clone(),
        })
    }

    /// Sends a message to this URL.
    pub async fn send(&self, url: &str, message: Message) -> Outcome {
        let url = match checked(url, &self.config) {
            Ok(url) => url,
            Err(error) => return failed(None, &error.to_string()),
        };
        let request = self
            .client
            .post(url)
            .header("content-type", "application/json")
            .header("webhook-id", message.id)
            .header("webhook-timestamp", message.timestamp.to_string())
            .header("webhook-signature", message.signatures)
            .body(message.body);
        match request.send().await {
            Ok(response) => judged(response).await,
            // The path of the URL may be as good as a key.
            Err(error) => failed(None, &chain(&error.without_url()).to_string()),
        }
    }
}

async fn judged(mut response: Response) -> Outcome {
    let status = response.status();
    if status.is_success() {
        return Outcome::Taken {
            status: status.as_u16(),
        };
    }
    if status == StatusCode::GONE {
        return Outcome::Gone;
    }
    let said = first_of(&mut response).await;
    let said = if said.is_empty() { said } else { format!(": {said}") };
    failed(Some(status), &format!("the receiver answered {status}{said}"))
}

/// The beginning of an answer, as one line.
async fn first_of(response: &mut Response) -> String {
    let mut read = Vec::new();
    while read.len() < MOST_READ
        && let Ok(Some(more)) = response.chunk().await
    {
        let room = MOST_READ - read.len();
        read.extend(more.iter().copied().take(room));
    }
    let text = String::from_utf8_lossy(&read);
    text.split(|letter: char| letter.is_control() || letter.is_whitespace())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

pub(super) fn failed(status: Option<StatusCode>, error: &str) -> Outcome {
    Outcome::Failed {
        status: status.map(|status| status.as_u16()),
        error: shortened(error, MOST_KEPT),
    }
}

/// Resolves names to addresses to which messages may be sent. The connection is made to what is returned here, so a name cannot lead elsewhere a moment
/// later. If one address is not allowed, none is: whoever answers with several decides which one is tried.
struct Checked {
    config: WebhooksConfig,
}

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let config = self.config.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            if found.is_empty() {
                return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address").into());
            }
            for address in &found {
                check_address(address.ip(), &config)?;
            }
            Ok::<Addrs, Box<dyn std::error::Error + Send + Sync>>(Box::new(found.into_iter()))
        })
    }
}
