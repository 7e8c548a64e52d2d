//! Enrols a node: it shows a join token or an API key and its public keys, and gets everything that it needs to serve.

use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait,
    IntoActiveModel, PaginatorTrait, QueryFilter, QuerySelect,
};
use secrecy::{ExposeSecret, SecretString};
use vpnmanager_entities::{
    join_token,
    server::{self, NodeState},
};
use vpnmanager_nats::{
    commands::Host,
    security::{
        enrolment::{ENROLLED_WITHIN, EnrolmentClaim},
        jwt::JwtError,
        node_credentials::issue_node_jwt,
    },
    topology::TopologyError,
};

use crate::{
    app::App,
    bus_access::EnforceError,
    domain::{
        actor::Actor,
        audit_action::AuditAction,
        certificates::node::Right,
        enrolment::{Change, Means, Refusal, Wanted, judge, judge_token},
    },
    ops::{
        audit::{self, Entry, node_snapshot},
        certificates::{
            authorities::trusted_bundle,
            node::{NodeCertificateError, certify_node},
        },
        database_now::database_now,
        in_turn::transact_on_fleet,
        nodes::{
            bus_keys::{last_revocation, revoke_bus_key, time_of_issue},
            host::{UnreachableHost, host_of, warn_of_local_host},
            one_at_a_time::one_at_a_time,
        },
        pools::ensure::ensure_pool,
    },
    pki::PkiError,
};

use vpnmanager_openapi::auth::hash_key;

/// What a node sends about itself.
#[derive(Debug, Clone)]
pub struct Registration {
    /// What it signed.
    pub claim: EnrolmentClaim,
    /// Its signature.
    pub signature: Vec<u8>,
    /// The request for its OpenVPN server certificate, PEM.
    pub csr: String,
    /// Version of the agent.
    pub agent_version: Option<String>,
    /// The address of whoever sent it: what clients dial where the claim names no host.
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
    /// The request is not signed with the bus key that it names, or was altered.
    #[error("the signature of the request is not by its bus key")]
    Signature,
    /// The time of the request is more than [`ENROLLED_WITHIN`] away from management's clock.
    #[error("the time of the request is too far from management's clock")]
    Time {
        /// How far the node's clock is ahead; negative: behind.
        ahead: TimeDelta,
    },
    /// Clients elsewhere could not reach the node at the host that it names, or at the address that its request came from.
    #[error(transparent)]
    Host(#[from] UnreachableHost),
    /// The token is unknown or was made for another node; the answer does not say which.
    #[error("the join token is not valid")]
    InvalidToken,
    /// The token has expired.
    #[error("the join token has expired")]
    ExpiredToken,
    /// The token was used already, by another node or for something else.
    #[error(
        "the join token was used already, for another node, key, certificate request or endpoint: make a new token for this server_id"
    )]
    UsedToken,
    /// A node with this id is enrolled as something else.
    #[error(
        "a server of that id is enrolled with another key, certificate request or endpoint: deregister it, or enrol with a join token made for this id"
    )]
    NameTaken,
    /// Another node is enrolled with this bus key.
    #[error(
        "is the key of another server: this STATE_DIR is a copy of that server's, or the server was renamed. Move node.nk, openvpn/node.key, api.key and identity.json out of STATE_DIR, so that the agent makes new ones"
    )]
    KeyTaken,
    /// A node with this id was deregistered, and users are still leaving it; the node asks again.
    #[error("the server of that id was deregistered and its users are still leaving it: try again in a moment")]
    Leaving,
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
    /// It got no certificate for its OpenVPN server; the node asks again.
    #[error("making the node's certificate failed")]
    Certificate(#[source] NodeCertificateError),
    /// The database failed.
    #[error("recording the node failed")]
    Database(#[from] DbErr),
}

/// Enrols a node. A node that is enrolled already may repeat its request: the same keys, endpoint and pool. One that gets other keys or
/// another endpoint stays in its pool, or on its way to another one; the pool that it asks for is noted.
///
/// Whatever costs more comes later: the signature needs nothing but the request, a bad token costs one query, and the CA signs for nobody
/// who is not recorded.
pub async fn register_node(
    app: &App,
    registration: Registration,
    authority: Authority,
) -> Result<Enrolment, RegisterNodeError> {
    check_signature(&registration, Utc::now())?;
    let host = host_of(registration.claim.host.as_ref(), registration.peer)?;
    let claim = &registration.claim;
    if let Authority::JoinToken(token) = &authority {
        let token = find_token(&app.db, token, Lock::None).await?;
        judge_token(&token, &claim.node, Utc::now())?;
    }
    let wanted = wanted(app, &registration, host).await?;
    let (asked, by, wanted) = (&registration, &authority, &wanted);
    let recorded = transact_on_fleet(app, |tx| async move { record_node(&tx, asked, by, wanted).await }).await?;
    warn_of_local_host(&wanted.node, &wanted.host);
    if recorded.replaced_a_key {
        app.bus_access
            .enforce(&app.db)
            .await
            .map_err(RegisterNodeError::Revoke)?;
    }
    let certificate = certify_node(app, &claim.node, &registration.csr, Right::Enrolment)
        .await
        .map_err(RegisterNodeError::Certificate)?;
    app.topology
        .ensure_node(&claim.node)
        .await
        .map_err(RegisterNodeError::Topology)?;
    app.listeners.wake();
    app.placer.wake();

    let signer = app.bus_access.authority();
    let bus_jwt =
        issue_node_jwt(&claim.node, &claim.key, recorded.issued_at, signer).map_err(RegisterNodeError::Jwt)?;
    Ok(Enrolment {
        bus_urls: app.config.bus.urls_for_nodes().to_vec(),
        bus_jwt,
        bus_ca: app.bus_ca.as_deref().map(str::to_owned),
        ca: trusted_bundle(&app.db).await?,
        certificate: certificate.pem,
        tls_crypt_v2_key: app.pki.tls_crypt_v2_pem().clone(),
        server_name_prefix: app.pki.server_name_prefix().to_owned(),
    })
}

fn check_signature(registration: &Registration, now: DateTime<Utc>) -> Result<(), RegisterNodeError> {
    let ahead = registration.claim.at.signed_duration_since(now);
    if ahead.abs() > ENROLLED_WITHIN {
        return Err(RegisterNodeError::Time { ahead });
    }
    if !registration.claim.is_signed(&registration.signature) {
        return Err(RegisterNodeError::Signature);
    }
    Ok(())
}

/// What the node would be enrolled as. Parses the certificate request, on a blocking thread, and signs nothing.
async fn wanted(app: &App, registration: &Registration, host: Host) -> Result<Wanted, RegisterNodeError> {
    let (pki, csr) = (app.pki.clone(), registration.csr.clone());
    let tls_key = tokio::task::spawn_blocking(move || pki.csr_public_key_sha256(&csr)).await;
    let tls_key_sha256 = tls_key
        .unwrap_or(Err(PkiError::Interrupted))
        .map_err(RegisterNodeError::Csr)?;
    let claim = &registration.claim;
    Ok(Wanted {
        node: claim.node.clone(),
        bus_public_key: claim.key.clone(),
        tls_key_sha256,
        host,
        port: claim.port,
        protocol: claim.protocol,
        pool: claim.pool.to_string(),
    })
}

struct Recorded {
    /// Whether the node had another bus key before, which is revoked now.
    replaced_a_key: bool,
    /// When the credential is issued.
    issued_at: DateTime<Utc>,
}

async fn record_node(
    transaction: &DatabaseTransaction,
    registration: &Registration,
    authority: &Authority,
    wanted: &Wanted,
) -> Result<Recorded, RegisterNodeError> {
    // Two requests for one new name at once: the second one finds the node of the first.
    one_at_a_time(transaction).await?;
    let id = &wanted.node;
    let existing = server::Entity::find_by_name(id.clone())
        .lock_exclusive()
        .one(transaction)
        .await?;
    let now = Utc::now();
    let (actor, change) = match authority {
        Authority::JoinToken(token) => {
            let row = find_token(transaction, token, Lock::Exclusive).await?;
            let change = judge(Means::Token(&row, now), existing.as_ref(), wanted)?;
            if row.used_at.is_none() {
                use_token(transaction, row, wanted, now).await?;
            }
            let actor = Actor {
                address: Some(registration.peer),
                ..Actor::node(id)
            };
            (actor, change)
        }
        Authority::Key(actor) => (actor.clone(), judge(Means::Key, existing.as_ref(), wanted)?),
    };
    let replaced_key = existing
        .as_ref()
        .map(|server| server.bus_public_key.clone())
        .filter(|key| *key != wanted.bus_public_key);
    if let Some(key) = &replaced_key {
        revoke_bus_key(transaction, key, id).await?;
    }
    if change != Change::Repeat {
        refuse_key_of_another(transaction, wanted).await?;
        let before = existing.as_ref().map(node_snapshot);
        if existing.is_none() {
            ensure_pool(transaction, &actor, id, &registration.claim.pool).await?;
        }
        let server = save(transaction, registration, existing, wanted).await?;
        let mut entry = Entry::new(&actor, AuditAction::NodeRegistered, id).after(node_snapshot(&server));
        if let Some(before) = before {
            entry = entry.before(before);
        }
        audit::record_one(transaction, entry).await?;
    }
    let revoked = last_revocation(transaction, &wanted.bus_public_key).await?;
    Ok(Recorded {
        replaced_a_key: replaced_key.is_some(),
        issued_at: time_of_issue(transaction, revoked.as_ref()).await?,
    })
}

/// Whoever has the key of two nodes is both of them, and neither could be sent away by itself.
async fn refuse_key_of_another(transaction: &DatabaseTransaction, wanted: &Wanted) -> Result<(), RegisterNodeError> {
    let others = server::Entity::find()
        .filter(server::COLUMN.bus_public_key.eq(wanted.bus_public_key.clone()))
        .filter(server::COLUMN.name.ne(wanted.node.clone()))
        .count(transaction)
        .await?;
    if others > 0 {
        return Err(RegisterNodeError::KeyTaken);
    }
    Ok(())
}

/// Whether a row is kept from others until the transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lock {
    None,
    Exclusive,
}

async fn find_token(
    db: &impl ConnectionTrait,
    token: &SecretString,
    lock: Lock,
) -> Result<join_token::Model, RegisterNodeError> {
    let mut query =
        join_token::Entity::find().filter(join_token::COLUMN.hash.eq(hash_key(token.expose_secret()).to_vec()));
    if lock == Lock::Exclusive {
        query = query.lock_exclusive();
    }
    query.one(db).await?.ok_or(RegisterNodeError::InvalidToken)
}

async fn use_token(
    transaction: &DatabaseTransaction,
    token: join_token::Model,
    wanted: &Wanted,
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    let mut used = token.into_active_model();
    used.used_at = Set(Some(now));
    used.used_by = Set(Some(wanted.node.clone()));
    used.used_as = Set(Some(wanted.digest()));
    used.update(transaction).await.map(drop)
}

async fn save(
    transaction: &DatabaseTransaction,
    registration: &Registration,
    existing: Option<server::Model>,
    wanted: &Wanted,
) -> Result<server::Model, DbErr> {
    let claim = &registration.claim;
    let is_new = existing.is_none();
    let has_key = existing.as_ref().map(|server| &server.bus_public_key) == Some(&wanted.bus_public_key);
    // Its users stay placed on it, and an operator may have moved it: who enrols again only asks for a pool.
    let (pool, asked_pool) = match &existing {
        Some(server) => {
            let asked = Some(wanted.pool.clone()).filter(|asked| *asked != server.pool);
            (server.pool.clone(), asked)
        }
        None => (wanted.pool.clone(), None),
    };
    let listeners = wanted.listeners(existing.as_ref());
    let mut row = existing.map_or_else(Default::default, IntoActiveModel::into_active_model);
    row.agent_version = Set(registration.agent_version.clone());
    row.capacity = Set(claim.capacity.and_then(|capacity| i32::try_from(capacity).ok()));
    row.name = Set(wanted.node.clone());
    row.host = Set(registration.peer.to_string());
    row.pool = Set(pool);
    row.asked_pool = Set(asked_pool);
    row.public_host = Set(wanted.host.clone());
    row.public_port = Set(i32::from(wanted.port));
    row.public_protocol = Set(wanted.protocol);
    row.listeners = Set(listeners);
    if !has_key {
        row.bus_public_key = Set(wanted.bus_public_key.clone());
        row.bus_key_since = Set(database_now(transaction).await?);
    }
    row.enrolled_as = Set(Some(wanted.digest()));
    if is_new {
        row.state = Set(NodeState::Enrolled);
        row.insert(transaction).await
    } else {
        row.update(transaction).await
    }
}

impl From<Refusal> for RegisterNodeError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::TokenOfAnotherNode => Self::InvalidToken,
            Refusal::TokenExpired => Self::ExpiredToken,
            Refusal::TokenUsed => Self::UsedToken,
            Refusal::NameTaken => Self::NameTaken,
            Refusal::Leaving => Self::Leaving,
        }
    }
}
