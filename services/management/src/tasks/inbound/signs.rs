//! Signs certificates for nodes: of credentials, and of their own OpenVPN servers.

use bytes::Bytes;
use futures_util::future::{OptionFuture, join_all};
use tracing::warn;
use vpnmanager_nats::{
    envelope::Envelope,
    ids::NodeId,
    sign::{
        CertificateRequest, MAX_REQUESTS, ServerRefusal, ServerRequest, ServerResult, SignAnswer, SignRequest,
        SignResult,
    },
};
use vpnmanager_runtime::{error_chain::chain, log_limit::LogLimit};

use super::requests;
use crate::{
    app::App,
    domain::certificates::node::Right,
    ops::{
        certificates::{
            authorities::trusted_bundle,
            node::{NodeCertificate, NodeCertificateError, certify_node},
            note_running::note_running,
        },
        credentials::sign::SigningRequest,
    },
    pki::PkiError,
};

static NOT_RENEWED: LogLimit = LogLimit::lines("the certificate of a node was not renewed", 5);

pub(super) async fn answer(app: App, node: NodeId, payload: Bytes) -> Option<Bytes> {
    let request = requests::read(&node, &payload, |request: &SignRequest| &request.node)?;
    let results = request
        .requests
        .into_iter()
        .take(MAX_REQUESTS)
        .map(|request| sign(&app, &node, request));
    let server = request.server.map(|request| renew(&app, &node, request));
    Some(
        Envelope::new(SignAnswer {
            results: join_all(results).await,
            server: OptionFuture::from(server).await,
        })
        .encode(),
    )
}

async fn sign(app: &App, node: &NodeId, request: CertificateRequest) -> SignResult {
    let asked = SigningRequest {
        node: node.clone(),
        request,
    };
    app.signatures.submit(asked).await
}

async fn renew(app: &App, node: &NodeId, request: ServerRequest) -> ServerResult {
    let error = match renewed(app, node, &request).await {
        Ok(signed) => return signed,
        Err(error) => error,
    };
    if let Some(times) = NOT_RENEWED.admit() {
        warn!(node.id = %node, error = %chain(&error), times, "The certificate of a node was not renewed");
    }
    match error {
        NodeCertificateError::OtherKey => ServerResult::Refused {
            reason: ServerRefusal::OtherKey,
        },
        NodeCertificateError::Pki(PkiError::InvalidCsr(_)) => ServerResult::Refused {
            reason: ServerRefusal::InvalidCsr,
        },
        NodeCertificateError::Pki(PkiError::Sign(_) | PkiError::UnknownAuthority(_) | PkiError::Interrupted)
        | NodeCertificateError::Unregistered
        | NodeCertificateError::Unreadable
        | NodeCertificateError::Database(_) => ServerResult::Unavailable,
    }
}

async fn renewed(app: &App, node: &NodeId, request: &ServerRequest) -> Result<ServerResult, NodeCertificateError> {
    if let Some(running) = &request.running {
        note_running(&app.db, node, running).await?;
    }
    let NodeCertificate { pem, .. } = certify_node(app, node, &request.csr, Right::Renewal).await?;
    Ok(ServerResult::Signed {
        certificate: pem,
        authorities: Some(trusted_bundle(&app.db).await?),
    })
}
