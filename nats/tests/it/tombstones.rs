//! The end of a user on a node: kept until the node acked it, and never for ever.

use vpnmanager_nats::{ids::UserKey, publish::forget_tombstone};

use crate::bare::{Bare, node, put, remove};

const NINETY_DAYS_IN_SECONDS: &str = "7776000";

#[tokio::test]
async fn a_tombstone_replaces_the_command_and_carries_a_time_to_live() {
    let bare = Bare::start().await;
    let (n1, alice) = (node("n1"), UserKey::new());
    bare.store(put(&n1, alice, 1)).await;
    let living = bare.newest(&n1, alice).await.unwrap();
    assert!(
        living.headers.get("Nats-TTL").is_none(),
        "a living user's command must never go away by itself"
    );

    let sequence = bare.store(remove(&n1, alice, 2)).await;

    let tombstone = bare.newest(&n1, alice).await.unwrap();
    assert_eq!(tombstone.sequence, sequence);
    assert_eq!(
        tombstone.headers.get("Nats-TTL").unwrap().as_str(),
        NINETY_DAYS_IN_SECONDS
    );
    assert_eq!(bare.state().await.0, 1);
}

#[tokio::test]
async fn a_forgotten_tombstone_is_gone_and_forgetting_it_again_is_harmless() {
    let bare = Bare::start().await;
    let (n1, alice, bob) = (node("n1"), UserKey::new(), UserKey::new());
    bare.store(put(&n1, bob, 1)).await;
    let sequence = bare.store(remove(&n1, alice, 2)).await;

    for _ in 0..2 {
        forget_tombstone(&bare.topology, &n1, alice, sequence).await.unwrap();
    }

    assert!(bare.newest(&n1, alice).await.is_none());
    assert!(bare.newest(&n1, bob).await.is_some(), "another user's command stays");
}

#[tokio::test]
async fn forgetting_a_tombstone_leaves_what_took_its_place() {
    let bare = Bare::start().await;
    let (n1, alice) = (node("n1"), UserKey::new());
    let tombstone = bare.store(remove(&n1, alice, 2)).await;
    let command = bare.store(put(&n1, alice, 3)).await;

    forget_tombstone(&bare.topology, &n1, alice, tombstone).await.unwrap();

    assert_eq!(bare.newest(&n1, alice).await.unwrap().sequence, command);
}
