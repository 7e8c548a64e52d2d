//! Many revoked bus keys.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_nats::{AuthError, ConnectErrorKind, ConnectOptions};
use chrono::{DateTime, TimeDelta, Utc};
use nkeys::KeyPair;
use poem::http::StatusCode;
use sea_orm::{ActiveValue::Set, EntityTrait};
use serde_json::json;
use vpnmanager_entities::{bus_revocation, server};
use vpnmanager_nats::{
    attempt::attempt,
    connect::BusAddress,
    security::{claims::AccountClaims, jwt::Claims, keys::NodePublicKey, node_credentials::issue_node_jwt},
};

use crate::{
    bus_node::{connect_with, is_connected, join_as},
    database::run,
    stack::{Registering, Stack, WithKey as _, copy_of, registration},
};

/// How long the bus may take to let somebody in.
const PATIENCE: Duration = Duration::from_secs(10);

/// A credential that was issued at that time.
fn credential(stack: &Stack, id: &str, key: &KeyPair, issued_at: DateTime<Utc>) -> String {
    let authority = stack.app.bus_access.authority();
    let public = NodePublicKey::of(key).expect("a user key");
    issue_node_jwt(&id.parse().expect("an id"), &public, issued_at, authority).expect("signed")
}

/// Whether the bus refuses it.
async fn is_refused(stack: &Stack, key: &KeyPair, jwt: &str) -> bool {
    let key = Arc::new(copy_of(key));
    let options = ConnectOptions::with_jwt(jwt.to_owned(), move |nonce| {
        let key = Arc::clone(&key);
        async move { key.sign(&nonce).map_err(AuthError::new) }
    });
    let address = BusAddress {
        urls: vec![stack.nats.tls_url()],
        ca_file: Some(stack.config.bus.dir.join("ca.pem")),
    };
    match attempt(options, &address, PATIENCE).await {
        Ok(()) => false,
        Err(error) => {
            assert_eq!(error.kind(), ConnectErrorKind::AuthorizationViolation, "{error:?}");
            true
        }
    }
}

async fn deregister(stack: &Stack, id: &str) {
    let client = stack.client();
    let deregister = client.post(format!("/api/endnodes/{id}/deregister")).admin();
    deregister.send().await.assert_status(StatusCode::NO_CONTENT);
}

async fn revoke(stack: &Stack, key: &KeyPair, revoked_at: DateTime<Utc>) {
    let row = bus_revocation::ActiveModel {
        public_key: Set(key.public_key()),
        server_id: Set("gone".to_owned()),
        revoked_at: Set(revoked_at),
    };
    bus_revocation::Entity::insert(row)
        .exec_without_returning(&stack.app.db)
        .await
        .expect("inserted");
}

/// What the account of the nodes refuses, as the server has it.
async fn refused(stack: &Stack) -> BTreeMap<String, i64> {
    let system = stack.app.bus_access.connect_as_system().await.expect("connected");
    let account = &stack.app.bus_access.authority().account;
    let subject = format!("$SYS.REQ.ACCOUNT.{account}.CLAIMS.LOOKUP");
    let answer = system.client.request(subject, "".into()).await.expect("an answer");
    let token = str::from_utf8(&answer.payload).expect("a token");
    let claims = Claims::<AccountClaims>::verify_signature(token).expect("an account");
    claims.body.revocations
}

#[tokio::test]
async fn keys_that_were_revoked_before_the_fleet_of_today_are_told_as_one_and_nobody_notices() {
    let stack = Stack::start().await;
    let [honest, early, late] = std::array::from_fn(|_| KeyPair::new_user());
    let member = connect_with(&stack, "node-1", &honest).await;
    let (now, days) = (Utc::now(), TimeDelta::days);
    let of_early = credential(&stack, "gone", &early, now - days(40));
    let of_late = credential(&stack, "gone", &late, now - days(40));
    for (key, jwt) in [(&early, &of_early), (&late, &of_late)] {
        assert!(!is_refused(&stack, key, jwt).await, "the control");
    }
    revoke(&stack, &early, now - days(31)).await;
    revoke(&stack, &late, now).await;
    stack.app.bus_access.enforce(&stack.app.db).await.expect("published");
    assert_eq!(
        refused(&stack).await,
        BTreeMap::from([
            (early.public_key(), (now - days(31)).timestamp()),
            (late.public_key(), now.timestamp()),
        ]),
        "few are told one by one"
    );

    run(
        &stack.app.db,
        "INSERT INTO bus_revocations (public_key, server_id, revoked_at)
         SELECT 'U' || lpad(n::text, 55, '0'), 'gone-' || n, now() - interval '60 days' FROM generate_series(1, 1000) n",
    )
    .await;
    stack.app.bus_access.enforce(&stack.app.db).await.expect("published");

    let star = ("*".to_owned(), (now - days(31)).timestamp());
    assert_eq!(
        refused(&stack).await,
        BTreeMap::from([star, (late.public_key(), now.timestamp())])
    );
    for (key, jwt) in [(&early, &of_early), (&late, &of_late)] {
        assert!(is_refused(&stack, key, jwt).await, "who was out stays out");
    }
    assert!(is_connected(&member.bus), "who was in stays in");
    let again = join_as(&stack, "node-1", &honest, &member.jwt).await;
    assert!(is_connected(&again));
    assert_eq!(stack.app.bus_access.problem(), None);
}

/// A replica with a clock that is ahead issues a credential, and another one revokes its key.
#[tokio::test]
async fn a_revocation_refuses_what_a_clock_issued_that_is_ahead_and_the_node_comes_back_with_its_next_enrolment() {
    let stack = Stack::start().await;
    let key = KeyPair::new_user();
    let first = connect_with(&stack, "node-1", &key).await;
    let ahead = credential(&stack, "node-1", &key, Utc::now() + TimeDelta::minutes(9));
    assert!(!is_refused(&stack, &key, &ahead).await, "the control");

    let mut credentials = vec![first.jwt, ahead];
    // The second one may come in the same second.
    for _ in 0..2 {
        deregister(&stack, "node-1").await;
        for jwt in &credentials {
            assert!(is_refused(&stack, &key, jwt).await);
        }
        let again = connect_with(&stack, "node-1", &key).await;
        assert!(is_connected(&again.bus));
        credentials.push(again.jwt);
    }
}

/// Its credential is issued after the revocation of its key, which lies ahead.
#[tokio::test]
async fn a_node_that_enrolled_again_a_moment_ago_is_cut_off_as_any_other() {
    let stack = Stack::start().await;
    let key = KeyPair::new_user();
    stack.register(&registration("node-1").by(copy_of(&key))).await;
    deregister(&stack, "node-1").await;
    let jwt = connect_with(&stack, "node-1", &key).await.jwt;

    for (until, refused) in [("now() + interval '1 minute'", true), ("NULL", false)] {
        run(&stack.app.db, &format!("UPDATE servers SET cut_off_until = {until}")).await;
        stack.app.bus_access.enforce(&stack.app.db).await.expect("published");
        assert_eq!(is_refused(&stack, &key, &jwt).await, refused, "{until}");
    }
}

#[tokio::test]
async fn a_node_has_its_key_since_it_enrolled_with_it_and_not_since_it_enrolled() {
    let stack = Stack::start().await;
    let node = registration("node-1");
    stack.register(&node).await;
    let long_ago =
        "UPDATE servers SET created_at = now() - interval '60 days', bus_key_since = now() - interval '60 days'";
    run(&stack.app.db, long_ago).await;
    let days = async || {
        let row = server::Entity::find().one(&stack.app.db).await.expect("read");
        let row = row.expect("a node");
        [row.created_at, row.bus_key_since].map(|since| (Utc::now() - since).num_days())
    };
    let enrol_again = async |node: Registering| {
        let token = stack.join_token(json!({ "server_id": "node-1" })).await;
        stack.register(&node.token(Some(&token))).await;
    };

    enrol_again(node.again().with("port", 1195)).await;
    assert_eq!(days().await, [60, 60], "with another port");
    enrol_again(registration("node-1")).await;
    assert_eq!(days().await, [60, 0], "with another key");
}
