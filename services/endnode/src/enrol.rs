//! Enrolment: the node tells management its public keys and gets its credential, its certificate and the fleet's keys for them.

use std::time::Duration;

use chrono::Utc;
use reqwest::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tracing::{error, info, warn};
use vpnmanager_nats::{
    commands::{Host, Protocol},
    ids::NodeId,
};
use vpnmanager_runtime::{
    backoff::{Backoff, jittered},
    error_chain::chain,
};

use crate::{
    config::Config,
    identity::{Identity, IdentityError, NodeKeys},
};

/// While management is away.
const RETRY: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));
/// After a refusal only a person can help: by a new token, or by taking a name out of use.
const REFUSED_PAUSE: Duration = Duration::from_secs(30);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// `POST /api/endnodes/register`.
#[derive(Serialize)]
struct Registration<'a> {
    server_id: &'a NodeId,
    #[serde(skip_serializing_if = "Option::is_none")]
    join_token: Option<&'a str>,
    bus_public_key: String,
    csr: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a Host>,
    port: u16,
    protocol: Protocol,
    pool: &'a str,
    capacity: u32,
    agent_version: &'a str,
}

/// Its answer.
#[derive(Deserialize)]
struct Registered {
    server_id: NodeId,
    bus: BusAccess,
    pki: PkiAccess,
}

#[derive(Deserialize)]
struct BusAccess {
    urls: Vec<String>,
    jwt: String,
    #[serde(default)]
    ca: Option<String>,
}

#[derive(Deserialize)]
struct PkiAccess {
    ca: String,
    certificate: String,
    tls_crypt_v2_key: String,
    server_name_prefix: String,
}

/// One try failed.
#[derive(Debug, thiserror::Error)]
enum EnrolError {
    #[error("management cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    #[error("management cannot enrol at this moment (status {0})")]
    Unavailable(StatusCode),
    #[error("management refuses to enrol this node (status {status}): {detail}")]
    Refused { status: StatusCode, detail: String },
    #[error("management's answer cannot be read: is MANAGEMENT_URL right?")]
    Unreadable(#[source] reqwest::Error),
    #[error("management's answer is for the node {0}")]
    AnotherNode(NodeId),
    #[error("management's answer is for other keys than this node's")]
    OtherKeys,
}

/// Enrols, however long it takes: pauses grow while management is away, and are long while it refuses.
///
/// # Errors
/// When the request cannot be put together: the keys are unusable.
pub async fn enrol(config: &Config, management_url: &str, keys: &NodeKeys) -> Result<Identity, IdentityError> {
    let registration = Registration {
        server_id: &config.server_id,
        join_token: config.join_token.as_ref().map(ExposeSecret::expose_secret),
        bus_public_key: keys.bus_public_key(),
        csr: keys.csr(&config.server_id)?,
        host: config.public_host.as_ref(),
        port: config.public_port.get(),
        protocol: config.protocol,
        pool: &config.pool,
        capacity: config.openvpn.max_clients.get(),
        agent_version: env!("CARGO_PKG_VERSION"),
    };
    let key = match config.join_token {
        Some(_) => None,
        None => config.api_key.as_ref(),
    };
    let url = format!("{}/api/endnodes/register", management_url.trim_end_matches('/'));
    let client = reqwest::Client::builder()
        .timeout(REQUEST_TIMEOUT)
        .build()
        .unwrap_or_default();
    let mut failures = 0_u32;
    loop {
        let failure = match register(&client, &url, &registration, key).await {
            Ok(registered) => match accept(registered, config, keys) {
                Ok(identity) => {
                    info!(node.id = %config.server_id, "Enrolled");
                    return Ok(identity);
                }
                Err(failure) => failure,
            },
            Err(failure) => failure,
        };
        failures = failures.saturating_add(1);
        tokio::time::sleep(pause_after(&failure, failures)).await;
    }
}

async fn register(
    client: &reqwest::Client,
    url: &str,
    registration: &Registration<'_>,
    key: Option<&SecretString>,
) -> Result<Registered, EnrolError> {
    let mut request = client.post(url).json(registration);
    if let Some(key) = key {
        request = request.header("X-API-Key", key.expose_secret());
    }
    let response = request.send().await.map_err(EnrolError::Unreachable)?;
    let status = response.status();
    if status.is_success() {
        return response.json().await.map_err(EnrolError::Unreadable);
    }
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::REQUEST_TIMEOUT {
        return Err(EnrolError::Unavailable(status));
    }
    Err(EnrolError::Refused {
        status,
        detail: detail_of(response).await,
    })
}

/// What a problem body (RFC 9457) says; it never repeats the token.
async fn detail_of(response: reqwest::Response) -> String {
    #[derive(Deserialize)]
    struct Problem {
        #[serde(default)]
        title: String,
        #[serde(default)]
        detail: String,
    }
    match response.json::<Problem>().await {
        Ok(problem) if problem.detail.is_empty() => problem.title,
        Ok(problem) => problem.detail,
        Err(_unreadable) => "no reason was given".to_owned(),
    }
}

fn accept(registered: Registered, config: &Config, keys: &NodeKeys) -> Result<Identity, EnrolError> {
    if registered.server_id != config.server_id {
        return Err(EnrolError::AnotherNode(registered.server_id));
    }
    let Registered { server_id, bus, pki } = registered;
    let bus_public_key = keys.bus_public_key().parse().map_err(|_| EnrolError::OtherKeys)?;
    let identity = Identity {
        server_id,
        bus_public_key,
        bus_urls: bus.urls,
        bus_ca: bus.ca,
        bus_jwt: bus.jwt,
        ca: pki.ca,
        certificate: pki.certificate,
        tls_crypt_v2_key: pki.tls_crypt_v2_key,
        server_name_prefix: pki.server_name_prefix,
        enrolled_at: Utc::now(),
    };
    if identity.is_for(keys) {
        Ok(identity)
    } else {
        Err(EnrolError::OtherKeys)
    }
}

/// Logs what went wrong and returns how long to wait.
fn pause_after(failure: &EnrolError, failures: u32) -> Duration {
    match failure {
        EnrolError::Unreachable(_) | EnrolError::Unavailable(_) => {
            warn!(error = %chain(failure), "Not enrolled yet, trying again");
            jittered(RETRY.after(failures))
        }
        EnrolError::Refused { .. } | EnrolError::Unreadable(_) | EnrolError::AnotherNode(_) | EnrolError::OtherKeys => {
            error!(error = %chain(failure), "Not enrolled: somebody must act; trying again all the same");
            jittered(REFUSED_PAUSE)
        }
    }
}
