//! When the node serves, and that one that must not serve lets nobody in.

use std::time::Duration;

use vpnmanager_endnode::{
    backend::{Serving, VpnBackend as _},
    coordination::readiness::Readiness,
    tasks::serving,
    vpn::Vpn,
};
use vpnmanager_testbed::wait;

use crate::parts::{Parts, User};

/// What a start and a readmission wait for management.
const PATIENCE: Duration = Duration::from_secs(5);

fn run(parts: &Parts, readiness: &Readiness) {
    let (vpn, stop) = (Vpn::from(parts.vpn.clone()), parts.tasks.token());
    let task = serving::run(readiness.clone(), parts.applier.clone(), vpn, stop);
    parts.tasks.spawn("serving", task);
}

async fn comes_to(parts: &Parts, serving: Serving) -> Duration {
    let is_so = async || parts.vpn.serving() == serving;
    wait::until(wait::SOON, format_args!("the server to hear {serving:?}"), is_so)
        .await
        .unwrap()
}

async fn empties(parts: &Parts) {
    let alone = async || parts.vpn.sessions().await.unwrap().is_empty();
    wait::until(wait::SOON, "every session to end", alone).await.unwrap();
}

#[tokio::test]
async fn a_complete_journal_serves_after_five_seconds_without_management() {
    let (parts, readiness) = (Parts::new(), Readiness::new(true, None));
    let began = std::time::Instant::now();
    run(&parts, &readiness);

    comes_to(&parts, Serving::Yes).await;

    assert!(began.elapsed() >= PATIENCE, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_node_that_must_not_serve_lets_nobody_in_until_it_is_readmitted_and_in_sync() {
    let (parts, readiness) = (Parts::new(), Readiness::new(true, None));
    let (alice, bob) = (User::new("alice"), User::new("bob"));
    parts.apply(alice.standby(1)).await;
    run(&parts, &readiness);
    readiness.caught_up();
    comes_to(&parts, Serving::Yes).await;
    assert!(parts.vpn.connect(&alice.credential));

    readiness.retire(&parts.journal, "deregistered").await.unwrap();
    empties(&parts).await;
    assert!(!parts.vpn.connect(&alice.credential));
    // Neither a comparison with the journal nor a command lets anybody in.
    assert!(parts.applier.reconcile().await.unwrap().is_unchanged());
    parts.apply(bob.standby(1)).await;
    assert!(!parts.vpn.connect(&bob.credential));
    assert!(!readiness.is_caught_up());

    readiness.accept();
    comes_to(&parts, Serving::Undecided).await;
    assert!(!parts.vpn.connect(&alice.credential), "it is not in sync yet");
    readiness.caught_up();
    comes_to(&parts, Serving::Yes).await;
    assert!(parts.vpn.connect(&alice.credential));
    assert!(parts.vpn.connect(&bob.credential));
    assert!(
        parts.applier.reconcile().await.unwrap().is_unchanged(),
        "nothing is left to report"
    );
}

#[tokio::test]
async fn a_node_that_must_not_serve_sends_everybody_away_although_its_journal_is_held() {
    let (parts, readiness) = (Parts::new(), Readiness::new(true, None));
    let alice = User::new("alice");
    parts.apply(alice.standby(1)).await;
    run(&parts, &readiness);
    readiness.caught_up();
    comes_to(&parts, Serving::Yes).await;
    assert!(parts.vpn.connect(&alice.credential));
    let other = rusqlite::Connection::open(parts.dir.journal()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();

    let retired = readiness.retire(&parts.journal, "deregistered").await;

    assert!(retired.is_err(), "the next run of the agent would serve");
    empties(&parts).await;
    assert!(!parts.vpn.connect(&alice.credential));
    other.execute_batch("ROLLBACK").unwrap();
    readiness.retire(&parts.journal, "deregistered").await.unwrap();
    let noted = parts.journal.read(|records| records.snapshot()).await.unwrap().refused;
    assert_eq!(noted.as_deref(), Some("deregistered"));
}
