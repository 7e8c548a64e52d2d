//! A deleted user is out within a second, whether its client likes it or not.

use std::time::SystemTime;

use vpnmanager_testbed::{client::Hostile, wait};

use super::{profile, site::Site};

const OPENVPN_PORT: u16 = 1194;

#[tokio::test]
async fn a_deleted_user_is_cut_and_stays_out() {
    let Some(site) = Site::with_tunnels("delete").await else {
        return;
    };
    let api = site.stack.api();
    let witness = site.witness().await;
    let text = site.create("alice").await;
    let mut alice = site.visit(&text).await;

    let began = SystemTime::now();
    site.delete("alice").await;

    alice.is_cut(began, "DELETE of an honest client").await;
    let told = alice.connection.client.exited(wait::SOON).await.unwrap();
    eprintln!("measured: the honest client had ended {} ms later", told.as_millis());
    alice.is_turned_away().await;
    site.refuses(&text).await;
    assert_eq!(api.user("alice").await.unwrap().status, 404);
    witness.lost_nothing().await;
}

#[tokio::test]
async fn a_client_that_ignores_the_goodbye_is_cut_all_the_same() {
    let Some(site) = Site::with_tunnels("delete of a hostile client").await else {
        return;
    };
    let witness = site.witness().await;
    let text = site.create("mallory").await;
    let mut mallory = site.visit(&text).await;
    let namespace = mallory.connection.namespace.clone();
    let filter = Hostile::make(&namespace, OPENVPN_PORT).await.unwrap();
    mallory.pings.flows(5, wait::SOON).await.unwrap();

    let began = SystemTime::now();
    site.delete("mallory").await;

    mallory.is_cut(began, "DELETE of a hostile client").await;
    assert!(
        filter.ignored().await.unwrap() > 0,
        "she was told nothing that she could ignore"
    );
    assert!(mallory.connection.client.alive(), "she did not listen");
    filter.reform().await.unwrap();
    mallory.is_turned_away().await;
    site.refuses(&text).await;
    witness.lost_nothing().await;
}

#[tokio::test]
async fn a_session_on_the_second_node_is_cut_as_fast() {
    let Some(site) = Site::with_tunnels("delete at the second node").await else {
        return;
    };
    let text = site.create("alice").await;
    let second = profile::with_only(&text, profile::remotes(&text)[1]);
    let alice = site.visit(&second).await;

    let began = SystemTime::now();
    site.delete("alice").await;

    alice.is_cut(began, "DELETE of a session on the second node").await;
    site.refuses(&text).await;
}

#[tokio::test]
async fn recreating_a_name_does_not_revive_the_old_profile() {
    let Some(site) = Site::with_tunnels("recreate").await else {
        return;
    };
    let old = site.create("alice").await;
    site.lets_in(&old).await;
    site.delete("alice").await;

    let new = site.create("alice").await;

    assert_ne!(profile::block(&old, "cert"), profile::block(&new, "cert"));
    assert_ne!(profile::block(&old, "key"), profile::block(&new, "key"));
    site.refuses(&old).await;
    site.lets_in(&new).await;
}
