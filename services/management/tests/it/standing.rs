//! A node that the bus refuses asks for its standing.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use chrono::TimeDelta;
use data_encoding::BASE64URL_NOPAD;
use nkeys::KeyPair;
use poem::http::StatusCode;
use poem::test::TestResponse;
use sea_orm::EntityTrait as _;
use serde_json::{Value, json};
use vpnmanager_entities::bus_revocation;
use vpnmanager_nats::security::{
    claims::UserClaims,
    jwt::Claims,
    keys::NodePublicKey,
    standing::{Question, Standing},
};

use crate::stack::{Stack, WithKey as _, copy_of, json_of, problem_of, registration};

async fn register(stack: &Stack, id: &str, key: &KeyPair) {
    stack.register(&registration(id).by(copy_of(key))).await;
}

fn question(id: &str, key: &KeyPair) -> Question {
    Question::new(id.parse().expect("an id"), NodePublicKey::of(key).expect("a user key"))
}

async fn ask(stack: &Stack, question: &Question, signer: &KeyPair) -> TestResponse {
    let signature = question.sign(signer).expect("signed");
    let body = json!({
        "bus_public_key": question.key.as_str(),
        "at": question.at_text(),
        "signature": BASE64URL_NOPAD.encode(&signature),
    });
    let path = format!("/api/endnodes/{}/standing", question.node);
    stack.client().post(path).body_json(&body).send().await
}

/// Reads the answer and checks that it is signed by the fleet's CA.
async fn told(stack: &Stack, id: &str, key: &KeyPair) -> (Standing, Option<String>) {
    let question = question(id, key);
    let answer: Value = json_of(ask(stack, &question, key).await, StatusCode::OK).await;
    let standing: Standing = serde_json::from_value(answer["standing"].clone()).expect("a standing");
    let bus_jwt = answer["bus_jwt"].as_str();
    let signature = answer["signature"].as_str().expect("a signature").as_bytes();
    let signature = BASE64URL_NOPAD.decode(signature).expect("base64url");
    let (_, pem) = x509_parser::pem::parse_x509_pem(stack.app.pki.ca_pem().as_bytes()).expect("PEM");
    let certificate = pem.parse_x509().expect("a certificate");
    UnparsedPublicKey::new(
        &ECDSA_P256_SHA256_ASN1,
        &certificate.public_key().subject_public_key.data,
    )
    .verify(question.answer_text(standing, bus_jwt).as_bytes(), &signature)
    .expect("signed by the fleet");
    (standing, bus_jwt.map(str::to_owned))
}

#[tokio::test]
async fn a_node_is_told_how_it_stands_and_a_registered_one_gets_a_fresh_credential() {
    let stack = Stack::start().await;
    let (key, stranger) = (KeyPair::new_user(), KeyPair::new_user());
    register(&stack, "node-1", &key).await;

    let (standing, jwt) = told(&stack, "node-1", &key).await;
    assert_eq!(standing, Standing::Registered);
    assert!(jwt.is_some_and(|jwt| jwt.starts_with("ey")));
    assert_eq!(told(&stack, "node-1", &stranger).await, (Standing::Unknown, None));
    assert_eq!(told(&stack, "node-2", &key).await, (Standing::Unknown, None));

    let client = stack.client();
    let deregister = client.post("/api/endnodes/node-1/deregister").admin();
    deregister.send().await.assert_status(StatusCode::NO_CONTENT);
    assert_eq!(told(&stack, "node-1", &key).await, (Standing::Deregistered, None));
    assert_eq!(told(&stack, "node-2", &key).await, (Standing::Unknown, None));

    register(&stack, "node-1", &stranger).await;
    assert_eq!(
        told(&stack, "node-1", &key).await,
        (Standing::Deregistered, None),
        "another machine has its name"
    );
    assert_eq!(told(&stack, "node-1", &stranger).await.0, Standing::Registered);
}

#[tokio::test]
async fn nobody_else_is_told_and_nobody_by_an_old_question() {
    let stack = Stack::start().await;
    let (key, thief) = (KeyPair::new_user(), KeyPair::new_user());
    register(&stack, "node-1", &key).await;

    let unsigned = ask(&stack, &question("node-1", &key), &thief).await;
    problem_of(unsigned, StatusCode::FORBIDDEN).await;
    for minutes in [-6, 6] {
        let mut question = question("node-1", &key);
        question.at += TimeDelta::minutes(minutes);
        let (problem, _) = problem_of(ask(&stack, &question, &key).await, StatusCode::FORBIDDEN).await;
        assert!(
            problem["detail"].as_str().is_some_and(|why| why.contains("clock")),
            "{problem}"
        );
    }
}

/// A server that was renamed, or made from another one's image, has that one's key.
#[tokio::test]
async fn a_bus_key_is_one_nodes_only_and_a_later_node_with_it_is_told_of_its_own_end() {
    let stack = Stack::start().await;
    let key = KeyPair::new_user();
    register(&stack, "node-1", &key).await;

    let body = registration("node-2").by(copy_of(&key)).body();
    let client = stack.client();
    let response = client
        .post("/api/endnodes/register")
        .admin()
        .body_json(&body)
        .send()
        .await;
    let (problem, fields) = problem_of(response, StatusCode::CONFLICT).await;
    assert_eq!(fields, ["bus_public_key"]);
    assert!(
        problem["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("node.nk")),
        "{problem}"
    );

    for (node, next) in [("node-1", Some("node-2")), ("node-2", None)] {
        let path = format!("/api/endnodes/{node}/deregister");
        let deregister = client.post(path).admin();
        deregister.send().await.assert_status(StatusCode::NO_CONTENT);
        assert_eq!(told(&stack, node, &key).await, (Standing::Deregistered, None));
        if let Some(next) = next {
            register(&stack, next, &key).await;
            let (_, jwt) = told(&stack, next, &key).await;
            let claims = Claims::<UserClaims>::verify_signature(&jwt.expect("a credential")).expect("a token");
            let revoked = bus_revocation::Entity::find_by_id(key.public_key());
            let revoked = revoked.one(&stack.app.db).await.expect("read").expect("a revocation");
            assert_eq!(revoked.server_id, node);
            assert!(
                claims.issued_at.timestamp() > revoked.revoked_at.timestamp(),
                "the bus refuses the key until then, whoever had it"
            );
        }
    }
}
