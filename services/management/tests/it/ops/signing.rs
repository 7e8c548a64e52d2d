//! Signing certificates for nodes.

use vpnmanager_management::ops::{
    credentials::sign::{SigningRequest, sign_batch},
    users::remove::remove_user,
};
use vpnmanager_nats::{
    ids::CommonName,
    sign::{CertificateRequest, SignRefusal, SignResult},
};

use super::{actor, create, enrol, node, only_credential};
use crate::stack::{Stack, csr};

async fn ask(stack: &Stack, from: &str, common_name: &CommonName, csr: &str) -> SignResult {
    let request = CertificateRequest {
        common_name: common_name.clone(),
        csr: csr.to_owned(),
    };
    let asked = SigningRequest {
        node: node(from),
        request,
    };
    sign_batch(&stack.app.db, &stack.app.pki, vec![asked])
        .await
        .pop()
        .expect("one result")
}

fn refusal(result: SignResult) -> SignRefusal {
    match result {
        SignResult::Refused { reason, .. } => reason,
        SignResult::Signed(_) | SignResult::Unavailable { .. } => panic!("{result:?}"),
    }
}

#[tokio::test]
async fn asking_again_gives_the_same_certificate_and_another_key_gets_none() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let alice = create(&stack, "alice").await;
    let (common_name, request) = (only_credential(&stack, alice.user.id).await, csr());

    let first = ask(&stack, "node-1", &common_name, &request).await;
    assert!(matches!(first, SignResult::Signed(_)), "{first:?}");
    assert_eq!(ask(&stack, "node-1", &common_name, &request).await, first);
    assert_eq!(
        refusal(ask(&stack, "node-1", &common_name, &csr()).await),
        SignRefusal::AlreadyIssued
    );
}

#[tokio::test]
async fn only_the_home_node_gets_a_certificate_and_only_while_the_credential_is_valid() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let alice = create(&stack, "alice").await;
    let common_name = only_credential(&stack, alice.user.id).await;

    assert_eq!(
        refusal(ask(&stack, "node-2", &common_name, &csr()).await),
        SignRefusal::Unknown
    );
    let stranger = "mallory.aaaaaaaaaaaaaaaa".parse().expect("valid");
    assert_eq!(
        refusal(ask(&stack, "node-1", &stranger, &csr()).await),
        SignRefusal::Unknown
    );
    assert_eq!(
        refusal(ask(&stack, "node-1", &common_name, "no request").await),
        SignRefusal::InvalidCsr
    );

    remove_user(&stack.app, &actor(), &"alice".parse().expect("valid"))
        .await
        .expect("removed");
    assert_eq!(
        refusal(ask(&stack, "node-1", &common_name, &csr()).await),
        SignRefusal::Revoked
    );
}

#[tokio::test]
async fn one_bad_request_does_not_hold_up_the_batch() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let mut batch = Vec::new();
    for number in 0..20 {
        let user = create(&stack, &format!("user{number}")).await;
        let common_name = only_credential(&stack, user.user.id).await;
        let csr = if number == 7 { "broken".to_owned() } else { csr() };
        batch.push(SigningRequest {
            node: node("node-1"),
            request: CertificateRequest { common_name, csr },
        });
    }

    let results = sign_batch(&stack.app.db, &stack.app.pki, batch).await;

    let signed: Vec<bool> = results
        .iter()
        .map(|result| matches!(result, SignResult::Signed(_)))
        .collect();
    let expected: Vec<bool> = (0..20).map(|number| number != 7).collect();
    assert_eq!(signed, expected);
}
