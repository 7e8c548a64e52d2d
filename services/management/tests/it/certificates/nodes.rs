//! The certificates of nodes.

use nkeys::KeyPair;
use poem::http::StatusCode;
use vpnmanager_management::{
    domain::{audit_action::AuditAction, certificates::node::Right},
    ops::certificates::node::{NodeCertificate, NodeCertificateError, certify_node},
};

use vpnmanager_nats::{
    envelope::Envelope,
    sign::{ServerRefusal, ServerRequest, ServerResult, SignAnswer, SignRequest},
    subjects,
};
use vpnmanager_testbed::wait;

use super::started;
use crate::bus_node::join_as;
use crate::database::{number, run};
use crate::ops::{audited, enrol, node};
use crate::stack::{Stack, WithKey as _, copy_of, csr, json_of, post, registration};

const CURRENT: &str = "SELECT count(*) FROM certificates WHERE kind = 'node' AND replaced_at IS NULL";
const ALL: &str = "SELECT count(*) FROM certificates WHERE kind = 'node'";
/// All certificates of nodes are due, whatever moment each has.
const TIME_PASSES: &str =
    "UPDATE certificates SET not_before = now() - interval '25 days', not_after = now() + interval '5 days'
                           WHERE kind = 'node' AND replaced_at IS NULL";
/// More than half of it is over.
const HALF_PASSES: &str =
    "UPDATE certificates SET not_before = now() - interval '18 days', not_after = now() + interval '12 days'
                           WHERE kind = 'node' AND replaced_at IS NULL";

async fn renewed(stack: &Stack, csr: &str) -> Result<NodeCertificate, NodeCertificateError> {
    certify_node(&stack.app, &node("node-1"), csr, Right::Renewal).await
}

#[tokio::test]
async fn a_node_gets_the_same_certificate_until_it_is_due_and_then_another_one() {
    let stack = started().await;
    let enrolling = registration("node-1");
    let request = enrolling.body()["csr"].as_str().expect("a request").to_owned();
    let answer = post(&stack, "/api/endnodes/register", &enrolling.body()).await;
    let answer = json_of(answer, StatusCode::CREATED).await;
    let first = renewed(&stack, &request).await.expect("a certificate");
    assert_eq!(answer["pki"]["certificate"], first.pem);
    assert_eq!(number(&stack.app.db, ALL).await, 1);
    assert!(audited(&stack, AuditAction::NodeCertificateRenewed).await.is_empty());

    run(&stack.app.db, HALF_PASSES).await;
    let early = renewed(&stack, &request).await.expect("a certificate");
    assert_eq!(early.pem, first.pem, "agents ask all the time");
    run(&stack.app.db, TIME_PASSES).await;
    let (one, other) = tokio::join!(renewed(&stack, &request), renewed(&stack, &request));
    let (one, other) = (one.expect("a certificate"), other.expect("a certificate"));
    assert_eq!(one, other, "two requests at once");
    assert_ne!(one.pem, first.pem);
    assert_eq!(number(&stack.app.db, CURRENT).await, 1);
    assert_eq!(number(&stack.app.db, ALL).await, 2);
    let entries = audited(&stack, AuditAction::NodeCertificateRenewed).await;
    assert_eq!(entries.len(), 1);
    assert_eq!(
        (entries[0].actor.as_str(), entries[0].server_id.as_str()),
        ("node:node-1", "node-1")
    );
}

#[tokio::test]
async fn only_a_registered_node_is_certified_and_only_for_its_own_key() {
    let stack = started().await;
    let unknown = renewed(&stack, &csr()).await;
    assert!(
        matches!(unknown, Err(NodeCertificateError::Unregistered)),
        "{unknown:?}"
    );
    enrol(&stack, "node-1").await;
    run(&stack.app.db, TIME_PASSES).await;
    let other_key = renewed(&stack, &csr()).await;
    assert!(
        matches!(other_key, Err(NodeCertificateError::OtherKey)),
        "{other_key:?}"
    );
    let invalid = renewed(&stack, "no request").await;
    assert!(matches!(invalid, Err(NodeCertificateError::Pki(_))), "{invalid:?}");
    assert_eq!(number(&stack.app.db, ALL).await, 1);

    let path = "/api/endnodes/node-1/deregister";
    let response = stack.client().post(path).admin().send().await;
    response.assert_status(StatusCode::NO_CONTENT);
    let gone = renewed(&stack, &csr()).await;
    assert!(matches!(gone, Err(NodeCertificateError::Unregistered)), "{gone:?}");
}

#[tokio::test]
async fn a_node_that_an_earlier_release_enrolled_is_recorded_when_it_asks() {
    let stack = started().await;
    enrol(&stack, "node-1").await;
    run(&stack.app.db, "DELETE FROM certificates WHERE kind = 'node'").await;
    let request = csr();
    let first = renewed(&stack, &request).await.expect("a certificate");
    assert_eq!(renewed(&stack, &request).await.expect("a certificate"), first);
    assert_eq!(number(&stack.app.db, ALL).await, 1);
}

#[tokio::test]
async fn a_node_asks_over_the_bus_and_one_of_before_is_answered_as_before() {
    let stack = started().await;
    let key = KeyPair::new_user();
    let enrolling = registration("node-1").by(copy_of(&key));
    let request = enrolling.body()["csr"].as_str().expect("a request").to_owned();
    let answer = post(&stack, "/api/endnodes/register", &enrolling.body()).await;
    let enrolment = json_of(answer, StatusCode::CREATED).await;
    let jwt = enrolment["bus"]["jwt"].as_str().expect("a credential");
    let bus = join_as(&stack, "node-1", &key, jwt).await;
    let asked = |csr| ServerRequest { csr, running: None };
    let ask = async |server: Option<ServerRequest>| {
        let question = Envelope::new(SignRequest {
            node: node("node-1"),
            requests: Vec::new(),
            server,
        });
        // Management begins to listen some moments after the enrolment.
        let asked = async || {
            let asked = bus
                .client
                .request(subjects::sign(&node("node-1")), question.encode())
                .await;
            asked.ok()
        };
        let reply = wait::until_some(wait::SOON, "an answer", asked)
            .await
            .expect("an answer");
        let text = String::from_utf8_lossy(&reply.payload).into_owned();
        (
            Envelope::<SignAnswer>::decode(&reply.payload)
                .expect("an answer")
                .body
                .server,
            text,
        )
    };
    let (got, _) = ask(Some(asked(request))).await;
    let Some(ServerResult::Signed {
        certificate,
        authorities,
    }) = got
    else {
        panic!("{got:?}")
    };
    assert_eq!(
        authorities.as_deref().map(str::trim),
        Some(stack.app.pki.ca_pem().trim())
    );
    assert_eq!(enrolment["pki"]["certificate"], certificate);
    for (csr, reason) in [
        (csr(), ServerRefusal::OtherKey),
        ("no request".to_owned(), ServerRefusal::InvalidCsr),
    ] {
        let (got, _) = ask(Some(asked(csr))).await;
        assert_eq!(got, Some(ServerResult::Refused { reason }));
    }
    let (got, text) = ask(None).await;
    assert_eq!(got, None);
    assert!(!text.contains("server"), "{text}");
}
