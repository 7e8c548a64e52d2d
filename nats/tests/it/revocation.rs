//! Taking a node's credential back while it is connected.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use async_nats::{ConnectErrorKind, Event};
use chrono::{TimeDelta, Utc};
use nkeys::KeyPair;
use vpnmanager_nats::security::{
    claims::{AccountClaims, UserClaims},
    jwt::Claims,
    node_credentials::{issue_node_jwt, time_of_issue},
    revocations::Revocations,
    revoke::{publish_account, publish_account_if_changed, rebuild_nodes_account, revoke_key, revoked_at},
};

use crate::fixture::{Bus, Node, NodeIdentity};

struct Scene {
    bus: Bus,
    thief: NodeIdentity,
    connected: Node,
    bystander: Node,
}

async fn scene() -> Scene {
    let bus = Bus::start().await;
    let management = bus.management().await;
    let bystander = bus.node(&management, "n2").await;
    let thief = NodeIdentity::issue(&"n1".parse().unwrap(), &bus.files.node_authority().unwrap());
    management.topology.ensure_node(&thief.id).await.unwrap();
    let mut connected = bus.join(&thief).await.unwrap();
    connected.barrier().await;
    Scene {
        bus,
        thief,
        connected,
        bystander,
    }
}

impl Scene {
    /// Revokes and returns the account's new token.
    async fn revoke(&self) -> String {
        let operator = self.bus.files.operator_signing_key().unwrap();
        let current = self.bus.files.nodes_account_jwt().unwrap();
        let next = revoke_key(&current, &self.thief.public_key(), Utc::now(), &operator).unwrap();
        publish_account(&self.bus.system().await, next.clone()).await.unwrap();
        next
    }

    /// What refuses the thief and nobody else.
    fn without_thief(&self) -> Revocations {
        Revocations {
            of_keys: BTreeMap::from([(self.thief.public_key(), Utc::now())]),
            ..Revocations::default()
        }
    }

    async fn is_refused(&self) -> bool {
        let refused = self.bus.join(&self.thief).await.err().map(|error| error.kind());
        refused == Some(ConnectErrorKind::AuthorizationViolation)
    }
}

#[tokio::test]
async fn a_revoked_node_is_dropped_within_a_second_and_nobody_else() {
    let mut scene = scene().await;

    let system = scene.bus.system().await;
    let operator = scene.bus.files.operator_signing_key().unwrap();
    let current = scene.bus.files.nodes_account_jwt().unwrap();
    let started = Instant::now();
    let next = revoke_key(&current, &scene.thief.public_key(), Utc::now(), &operator).unwrap();
    publish_account(&system, next).await.unwrap();
    scene
        .connected
        .wait_for("the disconnection", |event| matches!(event, Event::Disconnected))
        .await;

    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    assert!(scene.is_refused().await);
    scene.bystander.consumer().await;
    let mut events = Vec::new();
    while let Ok(event) = scene.bystander.events.try_recv() {
        events.push(event);
    }
    assert!(
        events.iter().all(|event| matches!(event, Event::Connected)),
        "{events:?}"
    );
}

#[tokio::test]
async fn a_revocation_survives_a_restart_with_the_old_configuration() {
    let mut scene = scene().await;
    scene.revoke().await;

    scene.bus.server.kill().await;
    scene.bus.server.restart().await.unwrap();

    assert!(scene.is_refused().await);
    scene.bystander.consumer().await;
}

#[tokio::test]
async fn a_node_that_enrols_again_with_the_same_key_works() {
    let scene = scene().await;
    let account = scene.revoke().await;
    let key = scene.thief.public_key();

    let authority = scene.bus.files.node_authority().unwrap();
    let issued_at = time_of_issue(Utc::now(), revoked_at(&account, &key).unwrap());
    let jwt = issue_node_jwt(&scene.thief.id, &key, issued_at, &authority).unwrap();
    let back = scene
        .bus
        .join(&NodeIdentity {
            jwt,
            ..scene.thief.clone()
        })
        .await
        .unwrap();

    back.consumer().await;
    assert!(scene.is_refused().await, "the old token stays dead");
}

#[tokio::test]
async fn a_rebuilt_account_works_and_brings_the_list_back() {
    let scene = scene().await;
    let operator = scene.bus.files.operator_signing_key().unwrap();
    let list = scene.without_thief();
    let first = scene.bus.files.nodes_account_jwt().unwrap();

    let rebuilt = rebuild_nodes_account(&first, &list, &operator).unwrap();
    publish_account(&scene.bus.system().await, rebuilt).await.unwrap();

    assert!(scene.is_refused().await);
    scene.bystander.consumer().await;
}

/// As management tells many revocations of long ago: nothing that was issued until then is good for anything, whoever has it.
#[tokio::test]
async fn what_was_issued_until_a_time_is_refused_to_all_and_what_came_after_it_goes_on() {
    let scene = scene().await;
    let operator = scene.bus.files.operator_signing_key().unwrap();
    let authority = scene.bus.files.node_authority().unwrap();
    let mut claims = Claims::<UserClaims>::verify_signature(&scene.thief.jwt).unwrap();
    claims.issued_at = Utc::now() - TimeDelta::days(2);
    let of_before = NodeIdentity {
        jwt: claims.sign(&authority.signer).unwrap(),
        ..scene.thief.clone()
    };
    let mut connected = scene.bus.join(&of_before).await.unwrap();
    let revocations = Revocations {
        of_all: Some(claims.issued_at),
        ..Revocations::default()
    };
    let first = scene.bus.files.nodes_account_jwt().unwrap();

    let account = rebuild_nodes_account(&first, &revocations, &operator).unwrap();
    publish_account(&scene.bus.system().await, account).await.unwrap();

    connected
        .wait_for("the disconnection", |event| matches!(event, Event::Disconnected))
        .await;
    let refused = scene.bus.join(&of_before).await.err().map(|error| error.kind());
    assert_eq!(refused, Some(ConnectErrorKind::AuthorizationViolation));
    assert!(!scene.is_refused().await, "the same key with what was issued later");
    scene.bystander.consumer().await;
}

/// With the server's store gone, its configuration still holds the account's first token, which revokes nobody.
#[tokio::test]
async fn after_a_wiped_store_the_kept_token_brings_the_revocation_back() {
    let mut scene = scene().await;
    let kept = scene.revoke().await;

    scene.bus.server.kill().await;
    std::fs::remove_dir_all(&scene.bus.store).unwrap();
    scene.bus.server.restart().await.unwrap();
    assert!(
        !scene.is_refused().await,
        "the control: without the kept token the thief is back"
    );
    publish_account(&scene.bus.system().await, kept).await.unwrap();

    assert!(scene.is_refused().await);
}

/// The server stores a token without asking who signed it, and finds the account broken when it starts again.
#[tokio::test]
async fn after_a_strangers_token_the_kept_one_repairs_the_account() {
    let mut scene = scene().await;
    let kept = scene.bus.files.nodes_account_jwt().unwrap();
    let mut claims = Claims::<AccountClaims>::verify_signature(&kept).unwrap();
    claims.issued_at = Utc::now() + TimeDelta::seconds(2);
    let forged = claims.sign(&KeyPair::new_operator()).unwrap();

    publish_account(&scene.bus.system().await, forged).await.unwrap();
    assert!(!scene.is_refused().await, "a running server ignores it");
    scene.bus.server.kill().await;
    scene.bus.server.restart().await.unwrap();
    assert!(scene.is_refused().await, "the control: the account is broken");
    publish_account(&scene.bus.system().await, kept).await.unwrap();

    assert!(!scene.is_refused().await);
}

#[tokio::test]
async fn an_account_that_the_server_has_is_not_published_again() {
    let scene = scene().await;
    let (system, operator) = (
        scene.bus.system().await,
        scene.bus.files.operator_signing_key().unwrap(),
    );
    let first = scene.bus.files.nodes_account_jwt().unwrap();
    let account = Claims::<AccountClaims>::verify_signature(&first).unwrap().subject;
    let held = async || {
        let subject = format!("$SYS.REQ.ACCOUNT.{account}.CLAIMS.LOOKUP");
        system.request(subject, "".into()).await.unwrap().payload
    };
    let before = held().await;

    let same = rebuild_nodes_account(&first, &Revocations::default(), &operator).unwrap();
    publish_account_if_changed(&system, same, &operator).await.unwrap();
    assert_eq!(held().await, before, "nothing was sent");

    let revoked = scene.without_thief();
    let other = rebuild_nodes_account(&first, &revoked, &operator).unwrap();
    publish_account_if_changed(&system, other, &operator).await.unwrap();
    assert_ne!(held().await, before);
    assert!(scene.is_refused().await);
}

/// Management's clock was ahead by hours when it published, and was set back. The next publication comes at once, and another one too.
#[tokio::test]
async fn a_clock_that_was_ahead_holds_up_no_revocation() {
    let scene = scene().await;
    let (system, operator) = (
        scene.bus.system().await,
        scene.bus.files.operator_signing_key().unwrap(),
    );
    let first = scene.bus.files.nodes_account_jwt().unwrap();
    let mut ahead = Claims::<AccountClaims>::verify_signature(&first).unwrap();
    ahead.issued_at = Utc::now() + TimeDelta::hours(8);
    publish_account(&system, ahead.sign(&operator).unwrap()).await.unwrap();
    assert!(!scene.is_refused().await);

    let revoked = scene.without_thief();
    let account = rebuild_nodes_account(&first, &revoked, &operator).unwrap();
    publish_account_if_changed(&system, account, &operator).await.unwrap();
    assert!(scene.is_refused().await);

    let account = rebuild_nodes_account(&first, &Revocations::default(), &operator).unwrap();
    publish_account_if_changed(&system, account, &operator).await.unwrap();
    assert!(!scene.is_refused().await, "in the same second");
}
