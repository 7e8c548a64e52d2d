//! Signs certificates for nodes.

use bytes::Bytes;
use futures_util::future::join_all;
use vpnmanager_nats::{
    envelope::Envelope,
    ids::NodeId,
    sign::{CertificateRequest, MAX_REQUESTS, SignAnswer, SignRequest, SignResult},
};

use super::requests;
use crate::{app::App, ops::credentials::sign::SigningRequest};

pub(super) async fn answer(app: App, node: NodeId, payload: Bytes) -> Option<Bytes> {
    let request = requests::read(&node, &payload, |request: &SignRequest| &request.node)?;
    let results = request
        .requests
        .into_iter()
        .take(MAX_REQUESTS)
        .map(|request| sign(&app, &node, request));
    Some(
        Envelope::new(SignAnswer {
            results: join_all(results).await,
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
