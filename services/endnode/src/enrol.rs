//! Enrolment: the node tells management its public keys and gets its credential, its certificate and the fleet's keys for them.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use chrono::Utc;
use data_encoding::BASE64;
use reqwest::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use tracing::{error, info, warn};
use vpnmanager_openapi::contract::enrolment::{Enrolment, Registration};
use vpnmanager_openapi::contract::join_token;
use vpnmanager_openapi::contract::needed::Needed;
use vpnmanager_openapi::contract::scalars::{HostText, PoolText, ProtocolText, ServerIdText};
use vpnmanager_openapi::problem::Problem;
use vpnmanager_runtime::{
    backoff::{Backoff, jittered},
    error_chain::chain,
};
use x509_parser::pem::Pem;

use crate::{
    config::Config,
    coordination::enrolling::Enrolling,
    identity::{Identity, NodeKeys},
    management::{ManagementPlace, Trust},
};

/// While management is away.
const RETRY: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));
/// After a refusal only a person can help: by a new token, or by taking a name out of use.
const REFUSED_PAUSE: Duration = Duration::from_secs(30);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// The most that management takes for the capacity of a node that enrols (`Registration::capacity`); its handshake may tell more.
const MOST_CLIENTS: u32 = 1_000_000;

/// One try failed.
#[derive(Debug, thiserror::Error)]
enum EnrolError {
    #[error("management would refuse this node's {field}: {reason}")]
    Invalid { field: &'static str, reason: String },
    #[error("signing the request failed")]
    Sign(#[source] nkeys::error::Error),
    #[error("management cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    #[error(
        "management is somewhere else: set MANAGEMENT_URL to {to} (a redirect would turn the request into another one)"
    )]
    Moved { to: String },
    #[error("management cannot enrol at this moment (status {0})")]
    Unavailable(StatusCode),
    #[error("management refuses to enrol this node (status {status}): {detail}")]
    Refused { status: StatusCode, detail: String },
    #[error("management's answer cannot be read: is MANAGEMENT_URL right?")]
    Unreadable(#[source] reqwest::Error),
    #[error("management's answer is for the node {0}")]
    AnotherNode(String),
    #[error("management's answer is for other keys than this node's")]
    OtherKeys,
}

/// Enrols, however long it takes: pauses grow while management is away, and are long while it refuses.
///
/// # Errors
/// When the request cannot be put together: the keys are unusable, nobody can be believed to be management, or the token would be read on the
/// way.
pub async fn enrol(
    config: &Config,
    place: &ManagementPlace,
    keys: &NodeKeys,
    enrolling: &Enrolling,
) -> anyhow::Result<Identity> {
    let trust = place.trust_to_enrol(config)?;
    let management = Management {
        client: trust.client(place, REQUEST_TIMEOUT)?,
        url: format!("{}/api/endnodes/register", place.url.trim_end_matches('/')),
        key: match config.join_token {
            Some(_) => None,
            None => config.api_key.as_ref(),
        },
    };
    let csr = keys.csr(&config.server_id)?;
    let mut failures = 0_u32;
    loop {
        let failure = match enrol_once(&management, config, keys, &csr).await {
            Ok(identity) => {
                info!(node.id = %config.server_id, "Enrolled");
                return Ok(with_pinned(identity, &trust));
            }
            Err(failure) => failure,
        };
        failures = failures.saturating_add(1);
        enrolling.failed(chain(&failure).to_string());
        tokio::time::sleep(pause_after(&failure, failures)).await;
    }
}

/// Keeps the CA that the token named, where that is not the fleet's.
fn with_pinned(identity: Identity, trust: &Trust) -> Identity {
    let mut fleet = Pem::iter_from_buffer(identity.ca.as_bytes()).filter_map(Result::ok);
    let pinned = trust
        .pinned()
        .filter(|pinned| !fleet.any(|pem| BASE64.encode(&pem.contents) == *pinned));
    Identity {
        management_ca: pinned,
        ..identity
    }
}

/// Where to enrol, and with which key when there is no token.
struct Management<'a> {
    client: reqwest::Client,
    url: String,
    key: Option<&'a SecretString>,
}

async fn enrol_once(
    management: &Management<'_>,
    config: &Config,
    keys: &NodeKeys,
    csr: &str,
) -> Result<Identity, EnrolError> {
    let registration = registration(config, keys, csr)?;
    let enrolment = register(management, &registration).await?;
    accept(enrolment, config, keys)
}

fn registration(config: &Config, keys: &NodeKeys, csr: &str) -> Result<Registration, EnrolError> {
    // What follows the secret is for this node alone.
    let token = config.join_token.as_ref().map(ExposeSecret::expose_secret);
    let secret = token.map(|token| join_token::split(token.trim()).0);
    // The others are told with the first handshake.
    let first = config.listening().listeners().first();
    let unsigned = Registration {
        server_id: ServerIdText(config.server_id.clone()),
        join_token: secret.map(|secret| valid("join_token", secret)).transpose()?,
        bus_public_key: valid("bus_public_key", &keys.bus_public_key())?,
        csr: valid("csr", csr)?,
        host: config.public_host.clone().map(HostText),
        port: first.port.get(),
        protocol: ProtocolText(first.protocol),
        pool: PoolText(valid("pool", &config.pool)?),
        capacity: Some(config.capacity().get().min(MOST_CLIENTS)),
        agent_version: Some(valid("agent_version", env!("CARGO_PKG_VERSION"))?),
        at: Needed(None),
        signature: Needed(None),
    };
    // Signed anew for each try: a signature is good for five minutes.
    let claim = unsigned.claim(Utc::now()).map_err(|reason| EnrolError::Invalid {
        field: "bus_public_key",
        reason: reason.to_string(),
    })?;
    let signature = claim.sign(&keys.bus).map_err(EnrolError::Sign)?;
    Ok(unsigned.signed(&claim, &signature))
}

/// The reason never repeats the text, which may be the token.
fn valid<T: FromStr<Err: Display>>(field: &'static str, text: &str) -> Result<T, EnrolError> {
    text.parse().map_err(|reason: T::Err| EnrolError::Invalid {
        field,
        reason: reason.to_string(),
    })
}

async fn register(management: &Management<'_>, registration: &Registration) -> Result<Enrolment, EnrolError> {
    let mut request = management.client.post(&management.url).json(registration);
    if let Some(key) = management.key {
        request = request.header("X-API-Key", key.expose_secret());
    }
    let response = request.send().await.map_err(EnrolError::Unreachable)?;
    let status = response.status();
    if status.is_success() {
        return response.json().await.map_err(EnrolError::Unreadable);
    }
    if status.is_redirection() {
        return Err(EnrolError::Moved { to: base_of(&response) });
    }
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::REQUEST_TIMEOUT {
        return Err(EnrolError::Unavailable(status));
    }
    Err(EnrolError::Refused {
        status,
        detail: detail_of(response).await,
    })
}

/// Where a redirect leads, as `MANAGEMENT_URL` would name it.
pub(crate) fn base_of(response: &reqwest::Response) -> String {
    let to = response.headers().get(reqwest::header::LOCATION);
    let to = to.and_then(|to| response.url().join(to.to_str().ok()?).ok());
    to.map_or_else(
        || "where it redirects".to_owned(),
        |to| to.origin().ascii_serialization(),
    )
}

/// What a problem body (RFC 9457) says; it never repeats the token.
async fn detail_of(response: reqwest::Response) -> String {
    match response.json::<Problem>().await {
        Ok(problem) => problem.detail.unwrap_or(problem.title),
        Err(_unreadable) => "no reason was given".to_owned(),
    }
}

fn accept(enrolment: Enrolment, config: &Config, keys: &NodeKeys) -> Result<Identity, EnrolError> {
    let Enrolment { server_id, bus, pki } = enrolment;
    if server_id != config.server_id.as_str() {
        return Err(EnrolError::AnotherNode(server_id));
    }
    let bus_public_key = keys.bus_public_key().parse().map_err(|_| EnrolError::OtherKeys)?;
    let identity = Identity {
        server_id: config.server_id.clone(),
        bus_public_key,
        bus_urls: bus.urls,
        bus_ca: bus.ca,
        bus_jwt: bus.jwt,
        ca: pki.ca,
        certificate: pki.certificate,
        tls_crypt_v2_key: pki.tls_crypt_v2_key,
        server_name_prefix: pki.server_name_prefix,
        management_ca: None,
        enrolled_at: Utc::now(),
        told_bus: None,
        replaced_certificate: None,
        replaced_authorities: None,
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
        EnrolError::Invalid { .. }
        | EnrolError::Moved { .. }
        | EnrolError::Sign(_)
        | EnrolError::Refused { .. }
        | EnrolError::Unreadable(_)
        | EnrolError::AnotherNode(_)
        | EnrolError::OtherKeys => {
            error!(error = %chain(failure), "Not enrolled: somebody must act; trying again all the same");
            jittered(REFUSED_PAUSE)
        }
    }
}
