//! Expiry by the node's own clock.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use vpnmanager_endnode::tasks::expiry::{SCHEDULE, expire};
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
