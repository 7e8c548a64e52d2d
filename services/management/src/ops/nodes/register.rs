//! Enrols a node: it shows a join token or an API key and its public keys, and gets everything that it needs to serve.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, DatabaseTransaction, DbErr, EntityTrait, IntoActiveModel, QueryFilter,
    QuerySelect,
};
use secrecy::{ExposeSecret, SecretString};
use vpnmanager_entities::{
    bus_revocation, join_token,
    server::{self, NodeState},
};
use vpnmanager_nats::{
    commands::{Host, Protocol},
    ids::NodeId,
    security::{jwt::JwtError, keys::NodePublicKey, node_credentials::issue_node_jwt},
    topology::TopologyError,
};

use crate::{
    app::App,
    bus_access::EnforceError,
    domain::{
        actor::Actor,
        audit_action::AuditAction,
        join_token::{Presented, TokenRefusal, TokenUse, judge_token},
    },
    ops::{
        audit::{self, Entry, node_snapshot},
        nodes::bus_keys::revoke_bus_key,
        transact::transact,
    },
    pki::{PkiError, Signed},
};

use vpnmanager_openapi::auth::hash_key;

/// What a node sends about itself.
#[derive(Debug, Clone)]
pub struct Registration {
    /// Its id.
    pub server_id: NodeId,
    /// Its public NKey; the seed never leaves the node.
    pub bus_public_key: NodePublicKey,
    /// The request for its OpenVPN server certificate, PEM.
    pub csr: String,
    /// The DNS name or address that clients connect to; without it, the address that the request came from.
    pub host: Option<Host>,
    /// The port that clients connect to.
    pub port: u16,
    /// The tunnel's transport.
    pub protocol: Protocol,
    /// Its pool.
    pub pool: String,
    /// The most clients that it accepts.
    pub capacity: Option<u32>,
    /// Version of the agent.
    pub agent_version: Option<String>,
    /// The address that the request came from.
    pub peer: IpAddr,
}

/// What allows a node to enrol.
#[derive(Debug, Clone)]
pub enum Authority {
    /// A one-time token.
    JoinToken(SecretString),
    /// An API key of the admin or node role.
    Key(Actor),
}

/// Everything that the node needs to serve. Only the tls-crypt-v2 key is a secret.
#[derive(Debug)]
pub struct Enrolment {
    /// The addresses of the bus.
    pub bus_urls: Vec<String>,
    /// The node's bus credential; useless without the seed.
    pub bus_jwt: String,
    /// The bus CA, PEM; `None` where the bus has no TLS.
    pub bus_ca: Option<String>,
    /// The fleet's CA, PEM.
    pub ca: String,
    /// The node's OpenVPN server certificate, PEM.
    pub certificate: String,
    /// The fleet's tls-crypt-v2 server key, PEM.
    pub tls_crypt_v2_key: SecretString,
    /// The beginning of the common names of all server certificates of the fleet.
    pub server_name_prefix: String,
}

/// Why a node was not enrolled.
#[derive(Debug, thiserror::Error)]
pub enum RegisterNodeError {
    /// The token is unknown or was made for another node; the answer does not say which.
    #[error("the join token is not valid")]
    InvalidToken,
    /// The token has expired.
    #[error("the join token has expired")]
    ExpiredToken,
    /// The token was used already.
    #[error("the join token was used already")]
    UsedToken,
    /// A node with this id is enrolled with another key.
    #[error(
        "a server of that id is enrolled with another key: deregister it, or enrol with a join token made for this id"
    )]
    NameTaken,
    /// The certificate request is invalid.
    #[error("the certificate request is not valid")]
    Csr(#[source] PkiError),
    /// The bus credential could not be signed.
    #[error("signing the bus credential failed")]
    Jwt(#[source] JwtError),
    /// The bus could not be prepared; the node asks again.
    #[error("preparing the bus for the node failed")]
    Topology(#[source] TopologyError),
    /// The previous bus key of the node could not be revoked; the node asks again.
    #[error("revoking the node's old bus key failed")]
    Revoke(#[source] EnforceError),
    /// The database failed.
    #[error("recording the node failed")]
    Database(#[from] DbErr),
}

/// Enrols a node. A node that is already enrolled may repeat its request with the same keys.
pub async fn register_node(
    app: &App,
    registration: Registration,
    authority: Authority,
) -> Result<Enrolment, RegisterNodeError> {
    let certificate = sign_server(app, &registration).await?;
    let (asked, by) = (&registration, &authority);
    let recorded = transact(&app.db, |tx| async move { record_node(&tx, asked, by).await }).await?;
    if recorded.replaced_a_key {
        app.bus_access
            .enforce(&app.db)
            .await
            .map_err(RegisterNodeError::Revoke)?;
    }
    app.topology
        .ensure_node(&registration.server_id)
        .await
        .map_err(RegisterNodeError::Topology)?;
    app.listeners.wake();
    app.placer.wake();

    let signer = app.bus_access.authority();
    let bus_jwt = issue_node_jwt(
        &registration.server_id,
        &registration.bus_public_key,
        recorded.revoked_at,
        signer,
    )
    .map_err(RegisterNodeError::Jwt)?;
    Ok(Enrolment {
        bus_urls: app.config.bus.urls_for_nodes().to_vec(),
        bus_jwt,
        bus_ca: app.bus_ca.as_deref().map(str::to_owned),
        ca: app.pki.ca_pem().to_owned(),
        certificate: certificate.pem,
        tls_crypt_v2_key: app.pki.tls_crypt_v2_pem().clone(),
        server_name_prefix: app.pki.server_name_prefix().to_owned(),
    })
}

async fn sign_server(app: &App, registration: &Registration) -> Result<Signed, RegisterNodeError> {
    let (pki, node, csr) = (
        app.pki.clone(),
        registration.server_id.clone(),
        registration.csr.clone(),
    );
    let signed = tokio::task::spawn_blocking(move || pki.sign_server(&node, &csr)).await;
    signed
        .unwrap_or(Err(PkiError::Interrupted))
        .map_err(RegisterNodeError::Csr)
}

struct Recorded {
    /// Whether the node had another bus key before, which is revoked now.
    replaced_a_key: bool,
    /// When the key of this registration was revoked earlier, if it was.
    revoked_at: Option<DateTime<Utc>>,
}

async fn record_node(
    transaction: &DatabaseTransaction,
    registration: &Registration,
    authority: &Authority,
) -> Result<Recorded, RegisterNodeError> {
    let id = &registration.server_id;
    let existing = server::Entity::find_by_name(id.clone())
        .lock_exclusive()
        .one(transaction)
        .await?;
    let same_key = existing
        .as_ref()
        .is_some_and(|server| server.bus_public_key == registration.bus_public_key);
    let (actor, may_replace) = match authority {
        Authority::JoinToken(token) => {
            let bound = use_token(transaction, registration, token, same_key).await?;
            (
                Actor {
                    address: Some(registration.peer),
                    ..Actor::node(&registration.server_id)
                },
                bound,
            )
        }
        Authority::Key(actor) => (actor.clone(), false),
    };
    let replaced_key = match &existing {
        Some(_) if same_key => None,
        Some(server) if may_replace => Some(server.bus_public_key.clone()),
        Some(_) => return Err(RegisterNodeError::NameTaken),
        None => None,
    };
    if let Some(key) = &replaced_key {
        revoke_bus_key(transaction, key, id).await?;
    }
    let before = existing.as_ref().map(node_snapshot);
    let server = save(transaction, registration, existing).await?;
    let mut entry = Entry::new(&actor, AuditAction::NodeRegistered, id).after(node_snapshot(&server));
    if let Some(before) = before {
        entry = entry.before(before);
    }
    audit::record_one(transaction, entry).await?;
    let revoked = bus_revocation::Entity::find_by_id(registration.bus_public_key.as_str())
        .one(transaction)
        .await?;
    Ok(Recorded {
        replaced_a_key: replaced_key.is_some(),
        revoked_at: revoked.map(|row| row.revoked_at),
    })
}

/// Uses up the token, and returns whether it was made for this node. The node that used it may repeat its request with the same key.
async fn use_token(
    transaction: &DatabaseTransaction,
    registration: &Registration,
    token: &SecretString,
    same_key: bool,
) -> Result<bool, RegisterNodeError> {
    let id = &registration.server_id;
    let found = join_token::Entity::find()
        .filter(join_token::COLUMN.hash.eq(hash_key(token.expose_secret()).to_vec()))
        .lock_exclusive()
        .one(transaction)
        .await?;
    let row = found.ok_or(RegisterNodeError::InvalidToken)?;
    let bound = row.server_id.is_some();
    let presented = Presented {
        node: id,
        same_key,
        at: Utc::now(),
    };
    match judge_token(&row, presented) {
        Ok(TokenUse::First) => {}
        Ok(TokenUse::Repeated) => return Ok(bound),
        Err(TokenRefusal::OfAnotherNode) => return Err(RegisterNodeError::InvalidToken),
        Err(TokenRefusal::Expired) => return Err(RegisterNodeError::ExpiredToken),
        Err(TokenRefusal::Used) => return Err(RegisterNodeError::UsedToken),
    }
    let mut used = row.into_active_model();
    used.used_at = Set(Some(Utc::now()));
    used.used_by = Set(Some(id.clone()));
    used.update(transaction).await?;
    Ok(bound)
}

async fn save(
    transaction: &DatabaseTransaction,
    registration: &Registration,
    existing: Option<server::Model>,
) -> Result<server::Model, DbErr> {
    let public_host = match &registration.host {
        Some(host) => host.clone(),
        None => Host::from(registration.peer),
    };
    let is_new = existing.is_none();
    let mut row = existing.map_or_else(Default::default, IntoActiveModel::into_active_model);
    row.name = Set(registration.server_id.clone());
    row.host = Set(registration.peer.to_string());
    row.pool = Set(registration.pool.clone());
    row.public_host = Set(public_host);
    row.public_port = Set(i32::from(registration.port));
    row.public_protocol = Set(registration.protocol);
    row.agent_version = Set(registration.agent_version.clone());
    row.bus_public_key = Set(registration.bus_public_key.clone());
    row.capacity = Set(registration.capacity.and_then(|capacity| i32::try_from(capacity).ok()));
    if is_new {
        row.state = Set(NodeState::Enrolled);
        row.insert(transaction).await
    } else {
        row.update(transaction).await
    }
}
