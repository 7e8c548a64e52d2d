//! Gives nodes the certificates of their OpenVPN servers: at the enrolment, and when most of the life of one is over.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait as _, DatabaseTransaction, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, sea_query::LockType,
};
use serde_json::json;
use vpnmanager_entities::{
    certificate::{self, Kind},
    server,
};
use vpnmanager_nats::ids::NodeId;

use super::{
    authorities::authorities,
    record::{Found, record},
};
use crate::{
    app::App,
    domain::{
        actor::Actor,
        audit_action::AuditAction,
        certificates::node::{Asked, Decision, Newest, Right, decide},
        shown_time::shown_time,
    },
    ops::{
        audit::Entry,
        audit_room::{self, Caused},
        transact::transact,
    },
    pki::{CertificateFacts, Pki, PkiError},
};

/// The certificate of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeCertificate {
    /// The certificate, PEM.
    pub pem: String,
    /// When it becomes valid.
    pub not_before: DateTime<Utc>,
    /// When it ends.
    pub not_after: DateTime<Utc>,
}

/// Why a node got no certificate.
#[derive(Debug, thiserror::Error)]
pub enum NodeCertificateError {
    /// The request is invalid, or signing failed.
    #[error("the certificate request of the node is not valid, or could not be signed")]
    Pki(#[source] PkiError),
    /// It is not registered, or was deregistered.
    #[error("the node is not registered")]
    Unregistered,
    /// It asks for another key than the one that it was enrolled with: it has to enrol again.
    #[error("the node was enrolled with another key")]
    OtherKey,
    /// What was signed cannot be read.
    #[error("the certificate that was signed cannot be read")]
    Unreadable,
    /// The database failed.
    #[error("recording the certificate failed")]
    Database(#[from] DbErr),
}

/// One request.
#[derive(Debug, Clone, Copy)]
struct Request<'a> {
    node: &'a NodeId,
    csr: &'a str,
    right: Right,
    /// SHA-256 of its key.
    key: &'a [u8],
}

/// Gives a registered node a certificate for the key of its request. Asking again gives the same one, until half of its life is over.
pub async fn certify_node(
    app: &App,
    node: &NodeId,
    csr: &str,
    right: Right,
) -> Result<NodeCertificate, NodeCertificateError> {
    let text = csr.to_owned();
    let key = blocking(&app.pki, move |pki| pki.csr_public_key_sha256(&text)).await?;
    let request = Request {
        node,
        csr,
        right,
        key: &key,
    };
    let pki = &app.pki;
    transact(&app.db, |tx| async move { certify_within(&tx, pki, request).await }).await
}

async fn blocking<T: Send + 'static>(
    pki: &Arc<Pki>,
    work: impl FnOnce(&Pki) -> Result<T, PkiError> + Send + 'static,
) -> Result<T, NodeCertificateError> {
    let pki = Arc::clone(pki);
    let done = tokio::task::spawn_blocking(move || work(&pki)).await;
    done.unwrap_or(Err(PkiError::Interrupted))
        .map_err(NodeCertificateError::Pki)
}

async fn certify_within(
    transaction: &DatabaseTransaction,
    pki: &Arc<Pki>,
    request: Request<'_>,
) -> Result<NodeCertificate, NodeCertificateError> {
    let Request { node, csr, right, key } = request;
    // Two requests of one node at once: the second one finds what the first one got.
    let server = server::Entity::find_by_name(node.clone())
        .lock(LockType::NoKeyUpdate)
        .one(transaction)
        .await?;
    if server.is_none_or(|server| server.is_deregistered()) {
        return Err(NodeCertificateError::Unregistered);
    }
    let newest = certificate::Entity::find()
        .filter(certificate::Column::Kind.eq(Kind::Node))
        .filter(certificate::Column::Holder.eq(node.as_str()))
        .filter(certificate::Column::ReplacedAt.is_null())
        .order_by_desc(certificate::Column::NotBefore)
        .order_by_desc(certificate::Column::Id)
        .one(transaction)
        .await?;
    let trusted = authorities(transaction).await?;
    let issuer = trusted.of_servers().to_owned();
    let signer = |newest: &certificate::Model| {
        let facts = CertificateFacts::of_pem(&newest.certificate)?;
        trusted.signer_of(&facts).map(str::to_owned)
    };
    let known = newest.as_ref().map(|newest| Newest {
        key: &newest.public_key_sha256,
        not_before: newest.not_before,
        not_after: newest.not_after,
        is_of_issuer: signer(newest).as_ref() == Some(&issuer),
    });
    let asked = Asked {
        right,
        key,
        at: Utc::now(),
        end: pki.server_end(&issuer).map_err(NodeCertificateError::Pki)?,
    };
    match (decide(known, asked), newest) {
        (Decision::RefuseKey, _) => return Err(NodeCertificateError::OtherKey),
        (Decision::Repeat, Some(newest)) => {
            return Ok(NodeCertificate {
                pem: newest.certificate,
                not_before: newest.not_before,
                not_after: newest.not_after,
            });
        }
        (Decision::Sign, _) | (Decision::Repeat, None) => {}
    }
    let (name, csr) = (node.clone(), csr.to_owned());
    let signed = blocking(pki, move |pki| pki.sign_server_by(&issuer, &name, &csr)).await?;
    let facts = CertificateFacts::of_pem(&signed.pem).ok_or(NodeCertificateError::Unreadable)?;
    let found = Found {
        kind: Kind::Node,
        server_id: Some(node.clone()),
        holder: node.to_string(),
        pem: signed.pem.clone(),
        facts: facts.clone(),
    };
    record(transaction, found).await?;
    if right == Right::Renewal {
        tell_renewal(transaction, node, &facts).await?;
    }
    Ok(NodeCertificate {
        pem: signed.pem,
        not_before: signed.not_before,
        not_after: signed.not_after,
    })
}

async fn tell_renewal(transaction: &DatabaseTransaction, node: &NodeId, facts: &CertificateFacts) -> Result<(), DbErr> {
    let entry = Entry::new(&Actor::node(node), AuditAction::NodeCertificateRenewed, node)
        .details(format!(
            "its server certificate is valid until {}; its OpenVPN takes it when it next starts",
            shown_time(facts.not_after)
        ))
        .after(json!({
            "serial": facts.serial_hex,
            "fingerprint": facts.fingerprint,
            "not_after": facts.not_after,
        }));
    let caused = Caused {
        by: node.clone(),
        action: AuditAction::NodeCertificateRenewed,
        entry,
    };
    audit_room::record_caused(transaction, [caused]).await
}
