//! A user with several devices: a credential and a profile for each.

use std::collections::BTreeMap;

use vpnmanager_nats::{
    acks::{Ack, Outcome},
    ids::CommonName,
};
use vpnmanager_profile::profile::sha256_hex;
use vpnmanager_testbed::wait;

use crate::{
    agent::Agent,
    bus::{all_settled, fleet},
    fake_management::{DEADLINE, FakeManagement},
    parts::User,
};

/// The profiles that an ack tells, by their credentials. The first one is told apart; its file has the others beside it.
fn told(ack: &Ack) -> (BTreeMap<CommonName, String>, Option<String>) {
    let Outcome::Applied { issued, further, note } = &ack.outcome else {
        panic!("{ack:?}")
    };
    let first = issued
        .iter()
        .map(|one| (one.common_name.clone(), one.profile_checksum.clone()));
    let others = further
        .iter()
        .map(|one| (one.common_name.clone(), one.profile_checksum.clone()));
    (first.chain(others).collect(), note.clone())
}

/// The checksum of the profile that lies on the node.
fn on_disk(agent: &Agent, name: &CommonName) -> Option<String> {
    let file = std::fs::read(agent.dir.join("profiles").join(format!("{name}.ovpn"))).ok()?;
    Some(sha256_hex(&file))
}

/// How often a certificate of this credential was asked for.
fn asked(management: &FakeManagement, name: &CommonName) -> usize {
    let script = management.script();
    script.asked_to_sign.iter().filter(|asked| *asked == name).count()
}

#[tokio::test]
async fn each_device_gets_a_profile_of_its_own_and_is_let_in() {
    let (management, agent) = fleet().await;
    let alice = User::new("alice");
    let (phone, tablet) = (alice.another_credential(), alice.another_credential());
    let names = [alice.credential.clone(), phone.clone(), tablet.clone()];

    management
        .send(vec![alice.home_for(1, &[phone.clone(), tablet.clone()])])
        .await;
    let ack = management.ack_of(alice.key, 1).await;

    let (checksums, note) = told(&ack);
    assert_eq!(note, None);
    assert_eq!(checksums.len(), names.len(), "{ack:?}");
    for name in &names {
        assert_eq!(checksums.get(name).cloned(), on_disk(&agent, name), "{name}");
    }
    let Outcome::Applied {
        issued: Some(issued),
        further,
        ..
    } = ack.outcome
    else {
        panic!("no first profile")
    };
    assert_eq!(issued.common_name, alice.credential);
    let others: Vec<CommonName> = further.into_iter().map(|one| one.common_name).collect();
    assert_eq!(others, [phone, tablet], "in the order of the command");
    let mut let_in = names.map(|name| name.to_string());
    let_in.sort();
    assert_eq!(agent.allowed(), let_in);
    all_settled(&management).await;
    assert_eq!(management.script().acks.len(), 1, "it was answered once");
}

#[tokio::test]
async fn one_more_device_leaves_the_profiles_of_the_others_as_they_are() {
    let (management, agent) = fleet().await;
    let alice = User::new("alice");
    management.send(vec![alice.home(1)]).await;
    let (before, _) = told(&management.ack_of(alice.key, 1).await);
    let phone = alice.another_credential();

    management
        .send(vec![alice.home_for(2, std::slice::from_ref(&phone))])
        .await;
    let (after, _) = told(&management.ack_of(alice.key, 2).await);

    assert_eq!(after.get(&alice.credential), before.get(&alice.credential));
    assert_eq!(after.get(&phone).cloned(), on_disk(&agent, &phone));
    assert!(after.contains_key(&phone), "{after:?}");
    assert_eq!(
        (asked(&management, &alice.credential), asked(&management, &phone)),
        (1, 1)
    );

    // It is revoked again: it alone is refused, and its profile is gone.
    management.send(vec![alice.home(3)]).await;
    let (last, _) = told(&management.ack_of(alice.key, 3).await);
    assert_eq!(last, before);
    assert_eq!(agent.allowed(), [alice.credential.to_string()]);
    assert_eq!(on_disk(&agent, &phone), None);
}

#[tokio::test]
async fn profiles_that_were_made_in_an_earlier_try_are_told_and_not_made_again() {
    let (management, mut agent) = fleet().await;
    let alice = User::new("alice");
    let phone = alice.another_credential();
    management.script().unavailable.insert(phone.clone());
    management
        .send(vec![alice.home_for(1, std::slice::from_ref(&phone))])
        .await;
    let made = async || on_disk(&agent, &alice.credential).is_some() && asked(&management, &phone) >= 2;
    wait::until(DEADLINE, "the first profile, and a second try for the other", made)
        .await
        .unwrap();
    assert!(management.script().acks.is_empty(), "one is still missing");
    let first = on_disk(&agent, &alice.credential);
    agent.kill().await;
    management.script().unavailable.clear();
    // Management gives back at once what the dead run had in hand.
    management.script().resync = true;

    agent.start().await;

    let (checksums, note) = told(&management.ack_of(alice.key, 1).await);
    assert_eq!((checksums.get(&alice.credential).cloned(), note), (first, None));
    assert_eq!(checksums.get(&phone).cloned(), on_disk(&agent, &phone));
    assert_eq!(checksums.len(), 2);
    assert_eq!(asked(&management, &alice.credential), 1, "its profile was there");
}

#[tokio::test]
async fn a_device_whose_profile_can_never_be_made_is_named_and_holds_up_no_other() {
    let (management, agent) = fleet().await;
    let alice = User::new("alice");
    let phone = alice.another_credential();
    let other = rcgen::KeyPair::generate().unwrap();
    let csr = rcgen::CertificateParams::default()
        .serialize_request(&other)
        .unwrap()
        .pem()
        .unwrap();
    management.record_certificate(&phone, csr);

    management
        .send(vec![alice.home_for(1, std::slice::from_ref(&phone))])
        .await;

    let (checksums, note) = told(&management.ack_of(alice.key, 1).await);
    assert_eq!(
        checksums.into_keys().collect::<Vec<_>>(),
        std::slice::from_ref(&alice.credential)
    );
    let note = note.unwrap();
    assert!(note.starts_with(&format!("{phone}: ")), "{note}");
    let mut let_in = [alice.credential.to_string(), phone.to_string()];
    let_in.sort();
    assert_eq!(agent.allowed(), let_in);
}
