//! Commands, applied.

use vpnmanager_endnode::{
    apply::{Applied, History},
    journal::{NewProfile, StoredKey},
};
use vpnmanager_nats::{
    acks::Outcome,
    ids::{IntentId, Revision},
    intents::{Intent, IntentAction},
    sync::StateDigest,
};

use vpnmanager_testbed::wait;

use crate::parts::{Parts, User, node_id};

const APPLIED: Applied = Applied::Answered(Outcome::Applied {
    issued: None,
    further: Vec::new(),
    note: None,
});

pub(crate) fn removal_of(user: &User) -> Intent {
    Intent {
        id: IntentId::new(),
        node: node_id(),
        requested_at: chrono::Utc::now(),
        source: None,
        local: false,
        action: IntentAction::RemoveUser {
            user_key: user.key,
            username: user.username.clone(),
        },
    }
}

#[tokio::test]
async fn a_user_is_let_in_suspended_let_in_again_and_removed() {
    let (parts, alice) = (Parts::new(), User::new("alice"));

    assert_eq!(parts.apply(alice.standby(1)).await.applied, APPLIED);
    assert!(parts.vpn.connect(&alice.credential));

    parts.apply(alice.suspended(2)).await;
    assert!(!parts.vpn.connect(&alice.credential), "suspended");

    parts.apply(alice.standby(3)).await;
    assert!(parts.vpn.connect(&alice.credential), "active again");

    parts.apply(alice.removed(4)).await;
    assert!(!parts.vpn.connect(&alice.credential), "removed");
}

#[tokio::test]
async fn an_older_command_cannot_revive_a_removed_user() {
    let (parts, alice) = (Parts::new(), User::new("alice"));
    parts.apply(alice.standby(1)).await;
    parts.apply(alice.removed(3)).await;

    let late = parts.apply(alice.standby(2)).await;

    assert_eq!(
        late.applied,
        Applied::Answered(Outcome::Superseded { holds: Revision(3) })
    );
    assert!(!parts.vpn.connect(&alice.credential));
}

#[tokio::test]
async fn a_repeated_command_changes_nothing_and_is_answered_as_before() {
    let (parts, alice) = (Parts::new(), User::new("alice"));
    let first = parts.apply(alice.standby(1)).await;
    let second = parts.apply(alice.standby(1)).await;
    assert!(first.changed && !second.changed);
    assert_eq!(first.applied, second.applied);
}

#[tokio::test]
async fn a_credential_that_the_newer_command_lacks_is_refused() {
    let (parts, alice) = (Parts::new(), User::new("alice"));
    parts.apply(alice.standby(1)).await;
    let other = User::new("alice").credential;
    let mut put = alice.put(2);
    put.credentials = vec![other.clone()];

    parts.apply(vpnmanager_nats::commands::Command::PutUser(put)).await;

    assert!(!parts.vpn.connect(&alice.credential));
    assert!(parts.vpn.connect(&other));
}

#[tokio::test]
async fn in_one_batch_the_later_command_of_a_user_wins() {
    let (parts, alice) = (Parts::new(), User::new("alice"));
    parts
        .applier
        .apply(vec![alice.standby(1), alice.suspended(2)], 7)
        .await
        .unwrap();
    assert!(!parts.vpn.connect(&alice.credential));
    assert_eq!(
        parts
            .journal
            .read(|records| records.snapshot())
            .await
            .unwrap()
            .last_sequence,
        7
    );
}

#[tokio::test]
async fn access_does_not_wait_for_the_profile() {
    let (parts, alice) = (Parts::new(), User::new("alice"));
    let handled = parts.apply(alice.home(1)).await;
    assert!(matches!(handled.applied, Applied::Issuing(_)), "{handled:?}");
    assert!(parts.vpn.connect(&alice.credential));

    let tally = parts.journal.read(|records| records.tally()).await.unwrap();
    assert_eq!(tally.users, 1);
    assert_eq!(
        tally.digest,
        StateDigest::of(alice.key, Revision(1)),
        "who is let in counts, so that management notices whom it does not know"
    );
}

#[tokio::test]
async fn a_local_delete_holds_against_later_commands_until_management_refuses_it() {
    let (parts, alice) = (Parts::new(), User::new("alice"));
    parts.apply(alice.standby(1)).await;
    let intent = removal_of(&alice);
    let id = intent.id;

    assert!(parts.applier.remove_locally(alice.key, intent.clone()).await.unwrap());
    assert!(
        !parts.applier.remove_locally(alice.key, intent).await.unwrap(),
        "deleted before"
    );
    parts.apply(alice.standby(2)).await;
    assert!(!parts.vpn.connect(&alice.credential));
    assert_eq!(
        parts
            .journal
            .read(|records| records.count_queued_intents())
            .await
            .unwrap(),
        1
    );

    parts.applier.restore(id).await.unwrap();
    assert!(parts.vpn.connect(&alice.credential));
}

#[tokio::test]
async fn a_sweep_removes_whoever_did_not_come_and_no_one_else() {
    let (parts, alice, ghost) = (Parts::new(), User::new("alice"), User::new("ghost"));
    parts
        .applier
        .apply(vec![alice.standby(1), ghost.standby(5)], 2)
        .await
        .unwrap();

    let ghosts = parts.applier.sweep(|| [alice.key].into()).await.unwrap();

    assert_eq!(ghosts.len(), 1);
    assert!(parts.vpn.connect(&alice.credential));
    assert!(!parts.vpn.connect(&ghost.credential));
    // Should management know it after all, its command counts, whatever its revision.
    assert!(parts.apply(ghost.standby(5)).await.changed);
}

#[tokio::test]
async fn an_edited_allow_list_is_made_right_again() {
    use vpnmanager_endnode::backend::VpnBackend as _;
    let (parts, alice, smuggled) = (Parts::new(), User::new("alice"), User::new("mallory"));
    parts.apply(alice.standby(1)).await;
    parts.vpn.deny(std::slice::from_ref(&alice.credential)).await.unwrap();
    parts
        .vpn
        .allow(std::slice::from_ref(&smuggled.credential))
        .await
        .unwrap();

    let changes = parts.applier.reconcile().await.unwrap();

    assert_eq!(
        (changes.added, changes.removed),
        (vec![alice.credential], vec![smuggled.credential])
    );
    assert!(parts.applier.reconcile().await.unwrap().is_unchanged());
}

#[tokio::test]
async fn a_command_that_contradicts_itself_is_refused_and_changes_nothing() {
    let (parts, alice) = (Parts::new(), User::new("alice"));
    let vpnmanager_nats::commands::Command::PutUser(mut put) = alice.home(1) else {
        unreachable!()
    };
    put.credentials.clear();

    let handled = parts.apply(vpnmanager_nats::commands::Command::PutUser(put)).await;

    assert!(
        matches!(handled.applied, Applied::Answered(Outcome::Refused { .. })),
        "{handled:?}"
    );
    assert!(
        parts
            .journal
            .read(move |records| records.user(alice.key))
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn a_profile_whose_file_cannot_be_written_keeps_no_other_from_being_made() {
    let (parts, alice, bob) = (Parts::new(), User::new("alice"), User::new("bob"));
    for user in [&alice, &bob] {
        parts.apply(user.standby(1)).await;
        let profile = NewProfile {
            common_name: user.credential.clone(),
            certificate: None,
            tls_crypt_v2: "key".into(),
            remotes: Vec::new(),
            text: "client\n".into(),
            checksum: "c0ffee".to_owned(),
        };
        let stored = parts
            .journal
            .write(move |records| records.store_profile(&profile))
            .await;
        assert!(stored.unwrap());
    }
    let file = |user: &User| parts.dir.profiles().join(format!("{}.ovpn", user.credential));
    // No file can take the place of a folder.
    std::fs::create_dir_all(file(&alice)).unwrap();

    parts.applier.rebuild_profiles().await.unwrap();

    assert_eq!(std::fs::read_to_string(file(&bob)).unwrap(), "client\n");
}

#[tokio::test]
async fn a_user_who_comes_while_a_sweep_begins_is_no_ghost() {
    let (parts, alice) = (Parts::new(), User::new("alice"));
    let seen = std::sync::Mutex::new(std::collections::HashSet::new());
    let arriving = async {
        seen.lock().unwrap().insert(alice.key);
        parts.apply(alice.standby(1)).await
    };
    let sweeping = parts.applier.sweep(|| seen.lock().unwrap().clone());

    let (_, ghosts) = tokio::join!(arriving, sweeping);

    assert!(ghosts.unwrap().is_empty());
    assert!(parts.vpn.connect(&alice.credential));
}

#[tokio::test]
async fn who_loses_access_is_refused_while_the_journal_takes_nothing() {
    let (parts, alice, bob) = (Parts::new(), User::new("alice"), User::new("bob"));
    parts.apply(alice.standby(1)).await;
    parts.apply(bob.standby(1)).await;
    let other = rusqlite::Connection::open(parts.dir.journal()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();

    for (command, user) in [(alice.suspended(2), &alice), (bob.removed(2), &bob)] {
        assert!(
            parts.applier.apply(vec![command], 0).await.is_err(),
            "it was not journaled"
        );
        assert!(!parts.vpn.connect(&user.credential));
    }
    // The journal still lets them in, and the repair of the allow-list does not.
    parts.applier.reconcile().await.unwrap();
    assert!(!parts.vpn.connect(&alice.credential) && !parts.vpn.connect(&bob.credential));

    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(parts.apply(alice.suspended(2)).await.applied, APPLIED);
    parts.apply(bob.removed(2)).await;
    parts.applier.reconcile().await.unwrap();
    assert!(!parts.vpn.connect(&alice.credential) && !parts.vpn.connect(&bob.credential));
    parts.apply(alice.standby(3)).await;
    assert!(parts.vpn.connect(&alice.credential), "resumed");
}

#[tokio::test]
async fn an_older_command_lets_in_nobody_whose_newer_one_could_not_be_journaled() {
    let (parts, alice) = (Parts::new(), User::new("alice"));
    parts.apply(alice.standby(1)).await;
    let other = rusqlite::Connection::open(parts.dir.journal()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(parts.applier.apply(vec![alice.removed(5)], 0).await.is_err());
    assert!(parts.applier.apply(vec![alice.suspended(4)], 0).await.is_err());
    other.execute_batch("ROLLBACK").unwrap();

    // The journal takes what the node had missed before.
    for older in [alice.standby(2), alice.standby(4)] {
        assert_eq!(parts.apply(older).await.applied, APPLIED);
        assert!(!parts.vpn.connect(&alice.credential));
        parts.applier.reconcile().await.unwrap();
        assert!(!parts.vpn.connect(&alice.credential));
    }

    parts.apply(alice.removed(5)).await;
    assert!(!parts.vpn.connect(&alice.credential));
    parts.apply(alice.standby(6)).await;
    assert!(parts.vpn.connect(&alice.credential), "created again");
}

#[tokio::test]
async fn a_refused_local_delete_lets_in_nobody_whose_removal_could_not_be_journaled() {
    let (parts, alice) = (Parts::new(), User::new("alice"));
    parts.apply(alice.standby(1)).await;
    let intent = removal_of(&alice);
    let id = intent.id;
    assert!(parts.applier.remove_locally(alice.key, intent).await.unwrap());
    let other = rusqlite::Connection::open(parts.dir.journal()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(parts.applier.apply(vec![alice.removed(2)], 0).await.is_err());
    other.execute_batch("ROLLBACK").unwrap();

    parts.applier.restore(id).await.unwrap();

    assert!(!parts.vpn.connect(&alice.credential));
}

#[tokio::test]
async fn a_session_that_could_not_be_ended_is_told() {
    let (parts, alice, bob) = (Parts::new(), User::new("alice"), User::new("bob"));
    parts.apply(alice.standby(1)).await;
    assert!(parts.vpn.connect(&alice.credential));
    parts.vpn.set_reachable(false);

    let suspended = parts.apply(alice.suspended(2)).await;
    let Applied::Answered(Outcome::Applied { note: Some(note), .. }) = suspended.applied else {
        panic!("{:?}", suspended.applied)
    };
    assert!(note.contains("could not be ended"), "{note}");
    assert_eq!(
        parts.apply(bob.standby(1)).await.applied,
        APPLIED,
        "nothing of hers ends"
    );
}

#[tokio::test]
async fn profiles_of_a_journal_that_is_gone_are_out_of_the_way_at_once() {
    let parts = Parts::new();
    let profiles = parts.dir.profiles();
    for number in 0..50 {
        std::fs::write(profiles.join(format!("user{number}.x.ovpn")), "old").unwrap();
    }
    parts.applier.rebuild_profiles().await.unwrap();
    assert_eq!(std::fs::read_dir(&profiles).unwrap().count(), 0);
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&profiles).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o700);
    let gone = async || !profiles.with_extension("unknown").exists();
    wait::until(wait::SOON, "the old files to be deleted", gone)
        .await
        .unwrap();

    // What a start had no time to delete, the next one deletes.
    std::fs::create_dir(profiles.with_extension("unknown")).unwrap();
    parts.applier.rebuild_profiles().await.unwrap();
    wait::until(wait::SOON, "the rest to be deleted", gone).await.unwrap();
}

#[tokio::test]
async fn a_recorded_command_is_applied_without_a_new_key() {
    let parts = Parts::new();
    let (alice, bob) = (User::new("alice"), User::new("bob"));
    let commands = vec![alice.home(1), bob.standby(1)];
    for _ in 0..2 {
        let handled = parts.applier.apply_with(commands.clone(), History::Recorded, 2).await;
        let handled = handled.unwrap();
        let applied: Vec<Applied> = handled.into_iter().map(|handled| handled.applied).collect();
        assert!(
            matches!(
                applied.as_slice(),
                [
                    Applied::Answered(Outcome::Applied { issued: None, note: Some(note), .. }),
                    Applied::Answered(Outcome::Applied { issued: None, note: None, .. }),
                ] if note.contains("/reissue")
            ),
            "{applied:?}"
        );
    }
    let credential = parts.journal.read(move |records| records.key(&alice.credential)).await;
    assert!(credential.unwrap().is_none(), "a key was made");
}

#[tokio::test]
async fn a_recorded_command_for_several_devices_has_lost_them_all() {
    let (parts, alice) = (Parts::new(), User::new("alice"));
    let phone = alice.another_credential();
    let commands = vec![alice.home_for(1, std::slice::from_ref(&phone))];
    for _ in 0..2 {
        let handled = parts.applier.apply_with(commands.clone(), History::Recorded, 2).await;
        let Applied::Answered(Outcome::Applied {
            issued: None,
            further,
            note: Some(note),
        }) = handled.unwrap().remove(0).applied
        else {
            panic!("a profile was made")
        };
        assert!(further.is_empty());
        let named = format!("{}, {phone}: ", alice.credential);
        assert!(note.starts_with(&named), "{note}");
    }
    let next = parts.apply(alice.home_for(2, std::slice::from_ref(&phone))).await;
    assert!(matches!(next.applied, Applied::Answered(_)), "it tries again: {next:?}");
    for name in [&alice.credential, &phone] {
        assert!(parts.vpn.connect(name), "{name}");
    }
}

#[tokio::test]
async fn a_lost_credential_gets_no_new_key() {
    let (parts, alice) = (Parts::new(), User::new("alice"));
    parts.apply(alice.standby(1)).await;
    let made = StoredKey {
        key: "key".into(),
        csr: "request".to_owned(),
        certificate: None,
        tls_crypt_v2: None,
    };
    let key = parts.journal.write(move |records| {
        records.lose_credential(&alice.credential)?;
        assert!(!records.store_key(&alice.credential, &made)?);
        records.key(&alice.credential)
    });
    assert!(key.await.unwrap().is_none());
}

/// OpenVPN may be stopped, or about to start: what waits for it to end a session holds up nobody else.
#[tokio::test]
async fn who_is_refused_waits_for_no_session_that_should_end() {
    let parts = Parts::new();
    let (alice, bob, carol) = (User::new("alice"), User::new("bob"), User::new("carol"));
    for user in [&alice, &bob] {
        parts.apply(user.standby(1)).await;
    }
    parts.vpn.hang();
    let ends = |command| parts.applier.apply(vec![command], 0);
    let ended = async { tokio::join!(ends(alice.removed(2)), ends(bob.suspended(2))) };
    let others = async {
        let refused = async || [&alice, &bob].iter().all(|user| !parts.vpn.connect(&user.credential));
        wait::until(wait::SOON, "both to be refused", refused).await.unwrap();
        parts.apply(carol.standby(1)).await;
        assert!(parts.vpn.connect(&carol.credential));
    };
    tokio::select! {
        ended = ended => panic!("the server answered: {ended:?}"),
        () = others => {}
    }
}
