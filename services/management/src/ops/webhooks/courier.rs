//! Brings one message to its receiver. Whatever the receiver is or says, it costs a bounded time and little memory, and leads nowhere else.

use std::{io, net::SocketAddr, time::Duration};

use chrono::{DateTime, Utc};
use reqwest::{
    Client, Response, StatusCode,
    dns::{Addrs, Name, Resolve, Resolving},
    header::{HeaderMap, RETRY_AFTER},
    redirect::Policy,
};
use vpnmanager_nats::bounded::shortened;
use vpnmanager_runtime::error_chain::innermost;

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
        /// How long the receiver wants to be left alone, if it says so.
        again_in: Option<Duration>,
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
            Err(error) => return failed(&error.to_string()),
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
            Err(error) => failed(&innermost(&error.without_url())),
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
    let again_in = again_in(response.headers(), Utc::now());
    let said = first_of(&mut response).await;
    let said = if said.is_empty() { said } else { format!(": {said}") };
    Outcome::Failed {
        status: Some(status.as_u16()),
        error: shortened(&format!("the receiver answered {status}{said}"), MOST_KEPT),
        again_in,
    }
}

/// What `Retry-After` says (RFC 9110, 10.2.3): seconds, or a time.
fn again_in(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = DateTime::parse_from_rfc2822(text).ok()?;
    at.to_utc().signed_duration_since(now).to_std().ok()
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

/// There was no answer.
pub(super) fn failed(error: &str) -> Outcome {
    Outcome::Failed {
        status: None,
        error: shortened(error, MOST_KEPT),
        again_in: None,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_says_in_seconds_or_as_a_time_when_to_come_again() {
        let now = DateTime::from_timestamp(784_111_717, 0).expect("a time");
        for (text, seconds) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:47:37 GMT", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().expect("a value"));
            assert_eq!(again_in(&headers, now), seconds.map(Duration::from_secs), "{text}");
        }
        assert_eq!(again_in(&HeaderMap::new(), now), None);
    }
}
