//! Expiry by the node's own clock.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use vpnmanager_endnode::{
    backend::VpnBackend as _,
    tasks::expiry::{SCHEDULE, expire},
};
use vpnmanager_nats::events::EventKind;
use vpnmanager_testbed::wait;

use crate::parts::{Parts, User};

#[tokio::test]
async fn a_user_is_refused_and_cut_at_the_end_of_its_time_without_management() {
    let (parts, alice) = (Parts::new(), User::new("alice"));
    let applier = parts.applier.clone();
    parts
        .tasks
        .reconcile("expiry", &parts.node.wakes.expiry, SCHEDULE, move || {
            expire(applier.clone())
        });
    let end = Utc::now() + TimeDelta::milliseconds(700);

    parts.apply(alice.expiring(1, end)).await;

    assert!(parts.vpn.connect(&alice.credential));
    let events = || async {
        let events = parts.journal.read(|records| records.oldest_events(10)).await.unwrap();
        !events.is_empty()
    };
    wait::until(Duration::from_secs(5), "the event", events).await.unwrap();
    let late = Utc::now() - end;
    assert!(
        late >= TimeDelta::zero() && late < TimeDelta::milliseconds(500),
        "{late}"
    );
    assert!(!parts.vpn.connect(&alice.credential));
    let events = parts.journal.read(|records| records.oldest_events(10)).await.unwrap();
    assert_eq!(
        events[0].1.kind,
        EventKind::UserExpired {
            user_key: alice.key,
            sessions: 1
        }
    );
}

#[tokio::test]
async fn a_user_that_comes_expired_is_never_let_in() {
    let (parts, alice) = (Parts::new(), User::new("alice"));
    parts.apply(alice.expiring(1, Utc::now() - TimeDelta::seconds(1))).await;
    assert!(!parts.vpn.connect(&alice.credential));
    let changes = parts.applier.reconcile().await.unwrap();
    assert!(changes.is_unchanged(), "{changes:?}");
}

#[tokio::test]
async fn a_later_end_lets_the_user_in_again() {
    let (parts, alice) = (Parts::new(), User::new("alice"));
    parts.apply(alice.expiring(1, Utc::now() - TimeDelta::seconds(1))).await;
    parts.apply(alice.expiring(2, Utc::now() + TimeDelta::hours(1))).await;
    assert!(parts.vpn.connect(&alice.credential));
    assert!(parts.applier.expire().await.unwrap().is_some());
    assert!(parts.vpn.connect(&alice.credential));
}

#[tokio::test]
async fn who_was_refused_while_the_clock_was_ahead_is_let_in_again_and_refused_in_time() {
    let (parts, alice) = (Parts::new(), User::new("alice"));
    let end = Utc::now() + TimeDelta::seconds(2);
    parts.apply(alice.expiring(1, end)).await;
    // What an earlier run of the agent did, by a clock that was an hour ahead.
    let ahead = Utc::now() + TimeDelta::hours(1);
    let key = alice.key;
    let noted = parts.journal.write(move |records| records.expiry_enforced(key, ahead));
    assert!(noted.await.unwrap());
    parts.vpn.deny(std::slice::from_ref(&alice.credential)).await.unwrap();

    let next = parts.applier.expire().await.unwrap();

    assert_eq!(next.map(|next| next.timestamp()), Some(end.timestamp()));
    assert!(parts.vpn.connect(&alice.credential));
    let is_over = async || Utc::now() > end;
    wait::until(Duration::from_secs(5), "the end", is_over).await.unwrap();
    assert_eq!(parts.applier.expire().await.unwrap(), None);
    assert!(!parts.vpn.connect(&alice.credential));
    let events = parts.journal.read(|records| records.oldest_events(10)).await.unwrap();
    assert_eq!(events.len(), 1, "{events:?}");
    assert!(parts.applier.reconcile().await.unwrap().is_unchanged());
}

/// A shorter time that comes while the disk is full counts all the same: it is not journaled, and nobody says it again in time.
#[tokio::test]
async fn a_shorter_time_that_the_journal_does_not_take_is_enforced_too() {
    let (parts, alice) = (Parts::new(), User::new("alice"));
    let applier = parts.applier.clone();
    parts
        .tasks
        .reconcile("expiry", &parts.node.wakes.expiry, SCHEDULE, move || {
            expire(applier.clone())
        });
    parts.apply(alice.expiring(1, Utc::now() + TimeDelta::hours(1))).await;
    let other = rusqlite::Connection::open(parts.dir.journal()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();

    // Whoever writes waits for five seconds for who holds the file.
    let end = Utc::now() + TimeDelta::seconds(6);
    let shortened = parts.applier.apply(vec![alice.expiring(2, end)], 0).await;
    assert!(shortened.is_err(), "{shortened:?}");
    assert!(
        Utc::now() < end && parts.vpn.connect(&alice.credential),
        "her time is not over"
    );
    let is_refused = async || !parts.vpn.connect(&alice.credential);
    wait::until(Duration::from_secs(10), "her to be refused", is_refused)
        .await
        .unwrap();
    assert!(Utc::now() >= end, "too early");

    // The journal can be written again, and management gives her more time.
    other.execute_batch("ROLLBACK").unwrap();
    parts.apply(alice.expiring(3, Utc::now() + TimeDelta::hours(1))).await;
    assert!(parts.vpn.connect(&alice.credential));
}
