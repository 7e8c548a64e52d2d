//! Another authority takes the place of the present one.

use std::sync::Arc;

use poem::http::StatusCode;
use sea_orm::EntityTrait as _;
use serde_json::json;
use vpnmanager_entities::webhook;
use vpnmanager_management::{
    domain::{
        actor::Actor,
        audit_action::AuditAction,
        certificates::{authorities::Step, node::Right},
    },
    ops::{
        audit_chain::{sign_checkpoint::sign_checkpoint, verify_last::verify_last},
        certificates::{
            authorities::trusted_bundle,
            node::certify_node,
            note_running::note_running,
            rollover::{RolloverError, Wish, progress, roll_over},
        },
        keys::bootstrap::bootstrap,
        webhooks::{
            create::{NewWebhook, create_webhook},
            read::get_webhook,
        },
    },
    pki::{CertificateFacts, Pki},
};
use vpnmanager_nats::sign::{Fingerprint, RunningServer};

use super::{certified, started};
use crate::database::{number, run, until};
use crate::ops::{audited, enrol, node};
use crate::stack::{ADMIN_KEY, Stack, csr, json_of, post, registration};

async fn step(stack: &Stack, step: Step) -> Result<Option<String>, RolloverError> {
    let wish = Wish {
        step,
        seen_to: Vec::new(),
        force: false,
    };
    roll_over(&stack.app.db, &stack.config.pki.dir, "test", &wish).await
}

/// Panics unless something would break, and gives what.
async fn waits(stack: &Stack, due: Step) -> String {
    let progress = progress(&stack.app.db).await.expect("read");
    assert_eq!(progress.due, due);
    match step(stack, due).await {
        Err(RolloverError::Breaks(what)) => {
            assert_eq!(progress.breaks.as_ref(), Some(&what));
            what
        }
        other => panic!("{other:?}"),
    }
}

/// The agent says that the OpenVPN that runs trusts these, and has a certificate of the last of them.
async fn runs_with(stack: &Stack, trusted: &[&str]) {
    let trusted: Vec<Fingerprint> = trusted
        .iter()
        .map(|one| Fingerprint::try_from((*one).to_owned()).expect("a fingerprint"))
        .collect();
    let running = RunningServer {
        signed_by: trusted.last().cloned(),
        trusted,
    };
    note_running(&stack.app.db, &node("node-1"), &running)
        .await
        .expect("noted");
}

/// Management starts again, and finds what is in its folder.
fn start_again(stack: &mut Stack) {
    stack.app.pki = Arc::new(Pki::load_or_create(&stack.config.pki.dir).expect("an authority"));
}

fn issuer(pem: &str) -> String {
    CertificateFacts::of_pem(pem).expect("a certificate").issuer
}

#[tokio::test]
async fn a_rollover_goes_on_only_when_nothing_breaks_by_it() {
    let mut stack = started().await;
    let enrolling = registration("node-1");
    let request = enrolling.body()["csr"].as_str().expect("a request").to_owned();
    post(&stack, "/api/endnodes/register", &enrolling.body()).await;
    certified(&stack, "node-1", "alice").await;
    let (old, prefix) = (
        stack.app.pki.ca_fingerprint().to_owned(),
        stack.app.pki.server_name_prefix().to_owned(),
    );
    let old_name = CertificateFacts::of_pem(stack.app.pki.ca_pem())
        .expect("a certificate")
        .subject;

    let wish = json!({ "url": "https://example.org/events" });
    json_of(post(&stack, "/api/webhooks", &wish).await, StatusCode::CREATED).await;
    // Where there is none yet: management signs, too.
    sign_checkpoint(&stack.app, &mut None).await.expect("asked");

    let early = step(&stack, Step::Finish).await;
    assert!(
        matches!(early, Err(RolloverError::NotDue { due: Step::Begin })),
        "{early:?}"
    );
    step(&stack, Step::Begin).await.expect("begun");
    let bundle = trusted_bundle(&stack.app.db).await.expect("read");
    assert_eq!(bundle.matches("BEGIN CERTIFICATE").count(), 2);
    start_again(&mut stack);
    let all = progress(&stack.app.db).await.expect("read").authorities;
    let next = all.all().last().expect("the next one").fingerprint.clone();
    assert_ne!(next, old);

    let lacking = waits(&stack, Step::Clients).await;
    assert!(lacking.contains("node-1"), "{lacking}");
    runs_with(&stack, &[&next, &old]).await;
    step(&stack, Step::Clients).await.expect("clients");
    let certificate = certify_node(&stack.app, &node("node-1"), &request, Right::Renewal).await;
    assert_eq!(
        issuer(&certificate.expect("a certificate").pem),
        old_name,
        "some clients know the old one alone"
    );
    certified(&stack, "node-1", "bob").await;
    let of_bob = "SELECT count(*) FROM credentials WHERE common_name LIKE 'bob.%' AND certificate IS NOT NULL";
    assert_eq!(number(&stack.app.db, of_bob).await, 1);

    let left = waits(&stack, Step::Servers).await;
    assert!(left.contains("alice.") && !left.contains("bob."), "{left}");
    run(
        &stack.app.db,
        "UPDATE credentials SET not_after = now() WHERE common_name LIKE 'alice.%'",
    )
    .await;
    step(&stack, Step::Servers).await.expect("servers");
    let certificate = certify_node(&stack.app, &node("node-1"), &request, Right::Renewal).await;
    assert_ne!(issuer(&certificate.expect("a certificate").pem), old_name);

    let lacking = waits(&stack, Step::Finish).await;
    assert!(lacking.contains("node-1"), "{lacking}");
    runs_with(&stack, &[&old, &next]).await;
    step(&stack, Step::Finish).await.expect("finished");
    start_again(&mut stack);
    assert_eq!(stack.app.pki.ca_fingerprint(), next);
    assert_eq!(stack.app.pki.server_name_prefix(), prefix, "profiles check it");
    let bundle = trusted_bundle(&stack.app.db).await.expect("read");
    assert_eq!(bundle.trim(), stack.app.pki.ca_pem().trim());
    bootstrap(&stack.app.db, &ADMIN_KEY.into(), &stack.app.pki)
        .await
        .expect("it starts");
    assert_eq!(audited(&stack, AuditAction::AuthorityChanged).await.len(), 4);
    assert_eq!(progress(&stack.app.db).await.expect("read").due, Step::Begin);

    let hooks = webhook::Entity::find().all(&stack.app.db).await.expect("read");
    assert_eq!(hooks.len(), 1);
    let secret = stack.app.pki.unseal("webhook", &hooks[0].secret);
    assert!(secret.is_some(), "messages are signed with it");
    let trail = verify_last(&stack.app, 1000).await.expect("read");
    assert!(trail.is_sound(), "{trail:?}");
    assert!(trail.checkpoints > 0, "one of the old authority: {trail:?}");
}

#[test]
fn another_rollover_begins_where_the_folder_was_copied_over_one_of_before_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let (dir, copy) = (folder.path().join("pki"), folder.path().join("copy"));
    let pki = Pki::load_or_create(&dir).expect("an authority");
    let (_, present) = pki.prepare_next(&dir).expect("the next one");
    std::fs::create_dir(&copy).expect("made");
    let copy_all = || {
        for entry in std::fs::read_dir(&dir).expect("read") {
            let entry = entry.expect("an entry");
            std::fs::copy(entry.path(), copy.join(entry.file_name())).expect("copied");
        }
    };
    copy_all();
    Pki::promote_next(&dir).expect("promoted");
    copy_all();

    let pki = Pki::load_or_create(&copy).expect("an authority");
    assert_eq!(pki.ca_fingerprint(), present);
    let (_, next) = pki.prepare_next(&copy).expect("another one");
    assert_ne!(next, present);
    let pki = Pki::load_or_create(&copy).expect("an authority");
    assert!(pki.holds(&present) && pki.holds(&next));
    assert_eq!(pki.ever_trusted().matches("BEGIN CERTIFICATE").count(), 3);
}

#[tokio::test]
async fn a_folder_of_another_step_does_not_end_a_rollover() {
    let stack = started().await;
    let stale = tempfile::tempdir().expect("a folder");
    for file in ["ca.pem", "ca.key", "tls-crypt-v2.key"] {
        std::fs::copy(stack.config.pki.dir.join(file), stale.path().join(file)).expect("copied");
    }
    for due in [Step::Begin, Step::Clients, Step::Servers] {
        step(&stack, due).await.expect("taken");
    }
    let wish = Wish {
        step: Step::Finish,
        seen_to: Vec::new(),
        force: true,
    };
    let refused = roll_over(&stack.app.db, stale.path(), "test", &wish).await;
    assert!(matches!(refused, Err(RolloverError::NoKey(_))), "{refused:?}");
    assert_eq!(progress(&stack.app.db).await.expect("read").due, Step::Finish);
}

#[tokio::test]
async fn what_the_old_authority_signed_and_encrypted_is_good_after_it_is_gone() {
    let mut stack = started().await;
    let webhook = NewWebhook {
        url: "https://hooks.example.com/".to_owned(),
        description: None,
        types: vec![AuditAction::UserRemoved],
        subjects: Vec::new(),
    };
    let made = create_webhook(&stack.app, &Actor::command(), webhook)
        .await
        .expect("made");
    let sealed = made.webhook.secret;
    let secret = stack.app.pki.unseal("webhook", &sealed).expect("its own key");
    sign_checkpoint(&stack.app, &mut None).await.expect("asked");
    let signed = "SELECT count(*) FROM audit_checkpoints";
    until(&stack.app.db, "a checkpoint of the old authority", signed).await;

    for step in [Step::Begin, Step::Clients, Step::Servers, Step::Finish] {
        let forced = Wish {
            step,
            seen_to: Vec::new(),
            force: true,
        };
        roll_over(&stack.app.db, &stack.config.pki.dir, "test", &forced)
            .await
            .expect("taken");
    }
    let old = stack.app.pki.ca_pem().to_owned();
    start_again(&mut stack);

    assert_ne!(stack.app.pki.ca_pem(), old);
    assert!(stack.app.pki.unseal("webhook", &sealed).is_none(), "its key is gone");
    let webhook = get_webhook(&stack.app.db, made.webhook.id).await.expect("read");
    let webhook = webhook.expect("it is there");
    assert_eq!(stack.app.pki.unseal("webhook", &webhook.secret), Some(secret));
    let report = verify_last(&stack.app, 1000).await.expect("verified");
    assert!(report.checkpoints > 0 && report.is_sound(), "{:?}", report.findings);
}

#[tokio::test]
async fn a_replica_without_the_key_signs_nothing_and_a_wish_by_force_says_what_breaks() {
    let stack = started().await;
    enrol(&stack, "node-1").await;
    step(&stack, Step::Begin).await.expect("begun");
    let forced = Wish {
        step: Step::Clients,
        seen_to: Vec::new(),
        force: true,
    };
    let broken = roll_over(&stack.app.db, &stack.config.pki.dir, "test", &forced).await;
    assert!(broken.expect("clients").is_some_and(|what| what.contains("node-1")));
    // This replica was not started again.
    let refused = bootstrap(&stack.app.db, &ADMIN_KEY.into(), &stack.app.pki).await;
    assert!(refused.is_err(), "{refused:?}");
    let common_name = "alice.aaaaaaaaaaaaaaaa".parse().expect("a name");
    let present = progress(&stack.app.db).await.expect("read").authorities;
    let signed = stack.app.pki.sign_client_by(present.of_clients(), &common_name, &csr());
    assert!(signed.is_err_and(|error| error.to_string().contains("PKI_DIR")));
}
