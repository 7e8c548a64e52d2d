//! Old certificates: the list of the old listener follows the journal, refuses first, and knows no credential.

use std::{collections::HashSet, fs, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use vpnmanager_endnode::{
    apply::{Applied, Applier, Projected},
    journal::Journal,
    tasks::expiry::{SCHEDULE, expire},
    vpn::Vpn,
};
use vpnmanager_nats::{
    acks::Outcome,
    commands::{Command, PutUser},
    ids::CommonName,
    old_certificates::OldCertificate,
};
use vpnmanager_runtime::tasks::Tasks;
use vpnmanager_testbed::wait;

use crate::{
    apply::removal_of,
    parts::{Parts, User, old_listener},
};

fn certificate(name: &str) -> OldCertificate {
    OldCertificate {
        common_name: name.parse().unwrap(),
        expires_at: None,
        revoked: Vec::new(),
    }
}

fn ending(name: &str, expires_at: DateTime<Utc>) -> OldCertificate {
    OldCertificate {
        expires_at: Some(expires_at),
        ..certificate(name)
    }
}

/// A user with these old certificates.
fn with(user: &User, revision: i64, certificates: &[OldCertificate]) -> PutUser {
    PutUser {
        old_certificates: certificates.to_vec(),
        ..user.put(revision)
    }
}

impl Parts {
    async fn puts(&self, put: PutUser) -> Applied {
        self.apply(Command::PutUser(put)).await.applied
    }

    /// Who is let in at the old listener.
    fn old(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.allow_old()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn is_revoked(&self, serial: &str) -> bool {
        self.dir.revoked_old().join(serial).exists()
    }
}

#[tokio::test]
async fn they_are_let_in_while_their_user_has_access_and_never_as_credentials() {
    let (parts, alice) = (Parts::with_an_old_listener(), User::new("alice"));
    let both = [certificate("alice"), certificate("alice-phone")];
    let of = |revision| with(&alice, revision, &both);

    parts.puts(of(1)).await;

    assert_eq!(parts.old(), ["alice", "alice-phone"]);
    assert!(parts.vpn.connect(&alice.credential));
    for certificate in &both {
        assert!(!parts.vpn.connect(&certificate.common_name), "it is no credential");
    }
    assert!(!parts.dir.allow_old().join(alice.credential.as_str()).exists());
    for (put, expected) in [
        (PutUser { active: false, ..of(2) }, &[][..]),
        (of(3), &["alice", "alice-phone"]),
        (with(&alice, 4, &both[..1]), &["alice"]),
        (
            PutUser {
                expires_at: Some(Utc::now()),
                ..of(5)
            },
            &[],
        ),
        (of(6), &["alice", "alice-phone"]),
    ] {
        let revision = put.revision;
        parts.puts(put).await;
        assert_eq!(parts.old(), expected, "{revision:?}");
        assert!(parts.applier.reconcile().await.unwrap().is_unchanged(), "{revision:?}");
    }
    parts.apply(alice.removed(7)).await;
    assert_eq!(parts.old(), [] as [&str; 0]);
}

#[tokio::test]
async fn whoever_is_in_a_group_is_not_let_in_at_the_old_listener_and_that_is_said() {
    let (parts, alice) = (Parts::with_an_old_listener(), User::new("alice"));
    parts.has_a_firewall();
    let certificates = [certificate("alice")];
    parts.puts(with(&alice, 1, &certificates)).await;
    assert_eq!(parts.old(), ["alice"]);

    let applied = parts
        .puts(PutUser {
            group: Some("sales".parse().unwrap()),
            ..with(&alice, 2, &certificates)
        })
        .await;

    assert_eq!(parts.old(), [] as [&str; 0]);
    let Applied::Answered(Outcome::Applied { note: Some(note), .. }) = applied else {
        panic!("{applied:?}");
    };
    assert!(note.contains("old certificates of this user are refused"), "{note}");
}

#[tokio::test]
async fn a_node_without_an_old_listener_says_that_they_have_no_effect() {
    let (parts, alice) = (Parts::new(), User::new("alice"));
    let applied = parts.puts(with(&alice, 1, &[certificate("alice")])).await;
    let Applied::Answered(Outcome::Applied { note: Some(note), .. }) = applied else {
        panic!("{applied:?}");
    };
    assert!(note.contains("OLD_SERVER_CONF"), "{note}");
}

#[tokio::test]
async fn revoked_ones_of_the_same_name_are_refused_by_their_serial_numbers() {
    let (parts, alice) = (Parts::with_an_old_listener(), User::new("alice"));
    let renewed = OldCertificate {
        revoked: vec!["258".parse().unwrap()],
        ..certificate("alice")
    };
    parts.puts(with(&alice, 1, &[renewed])).await;
    assert!(parts.is_revoked("258"));
    assert_eq!(parts.old(), ["alice"]);
    assert!(parts.applier.reconcile().await.unwrap().is_unchanged());

    fs::remove_file(parts.dir.revoked_old().join("258")).unwrap();
    parts.applier.reconcile().await.unwrap();
    assert!(parts.is_revoked("258"), "it was put back");
}

#[tokio::test]
async fn one_of_them_ends_by_the_clock_of_the_node_without_a_command() {
    let (parts, alice) = (Parts::with_an_old_listener(), User::new("alice"));
    let applier = parts.applier.clone();
    parts
        .tasks
        .reconcile("expiry", &parts.node.wakes.expiry, SCHEDULE, move || {
            expire(applier.clone())
        });
    let end = Utc::now() + TimeDelta::milliseconds(700);

    parts
        .puts(with(&alice, 1, &[ending("alice", end), certificate("alice-phone")]))
        .await;

    assert_eq!(parts.old(), ["alice", "alice-phone"]);
    let is_over = async || parts.old() == ["alice-phone"];
    wait::until(Duration::from_secs(5), "the end", is_over).await.unwrap();
    assert!(Utc::now() >= end);
    assert!(parts.vpn.connect(&alice.credential), "she has access all the same");
}

#[tokio::test]
async fn one_that_goes_to_another_user_is_let_in_for_her_in_whichever_order_the_commands_come() {
    let (parts, alice, bob) = (Parts::with_an_old_listener(), User::new("alice"), User::new("bob"));
    let shared = [certificate("shared")];
    parts.puts(with(&alice, 1, &shared)).await;
    parts.puts(with(&bob, 1, &shared)).await;
    parts.puts(with(&alice, 2, &[])).await;
    assert_eq!(parts.old(), ["shared"], "it is bob's");
    parts.apply(alice.removed(3)).await;
    assert_eq!(parts.old(), ["shared"]);
    parts.apply(bob.suspended(2)).await;
    assert_eq!(parts.old(), [] as [&str; 0]);
}

#[tokio::test]
async fn who_loses_access_is_refused_at_the_old_listener_although_the_journal_cannot_be_read() {
    let parts = Parts::with_an_old_listener();
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(User::new);
    for (user, name) in [(&alice, "alice"), (&bob, "bob"), (&carol, "carol")] {
        parts.puts(with(user, 1, &[certificate(name)])).await;
    }
    let other = rusqlite::Connection::open(parts.dir.journal()).unwrap();
    other
        .execute_batch("DROP TABLE credentials; DROP TABLE old_certificates; DROP TABLE users")
        .unwrap();
    let kept = OldCertificate {
        revoked: vec!["7".parse().unwrap()],
        ..certificate("carol")
    };

    let commands = vec![
        alice.suspended(2),
        bob.removed(2),
        Command::PutUser(with(&carol, 2, &[kept])),
    ];
    parts.applier.apply(commands, 0).await.unwrap_err();

    assert_eq!(parts.old(), ["carol"]);
    assert!(parts.is_revoked("7"), "although she is let in");
}

#[tokio::test]
async fn what_others_do_to_the_list_is_undone_and_a_node_that_must_not_serve_lets_nobody_in() {
    let (parts, alice) = (Parts::with_an_old_listener(), User::new("alice"));
    parts.puts(with(&alice, 1, &[certificate("alice")])).await;
    fs::remove_file(parts.dir.allow_old().join("alice")).unwrap();
    fs::write(parts.dir.allow_old().join("mallory"), "").unwrap();

    let changes = parts.applier.reconcile().await.unwrap();

    assert_eq!((changes.added.len(), changes.removed.len()), (1, 1));
    assert_eq!(parts.old(), ["alice"]);
    parts.applier.close().await.unwrap();
    assert_eq!(parts.old(), [] as [&str; 0]);
    parts.puts(with(&alice, 2, &[certificate("alice")])).await;
    assert_eq!(parts.old(), [] as [&str; 0], "the door is closed");
    parts.applier.open().await.unwrap();
    assert_eq!(parts.old(), ["alice"]);
    // As after a projection that was cut short.
    fs::write(parts.dir.allow_old().join("mallory"), "").unwrap();
    let refused = parts.applier.refuse_unwanted().await.unwrap();
    let mallory: CommonName = "mallory".parse().unwrap();
    assert_eq!(refused, [mallory]);
}

#[tokio::test]
async fn who_is_deleted_here_or_unknown_to_management_is_refused_there_too() {
    let (parts, alice, ghost) = (Parts::with_an_old_listener(), User::new("alice"), User::new("ghost"));
    parts.puts(with(&alice, 1, &[certificate("alice")])).await;
    parts.puts(with(&ghost, 1, &[certificate("ghost")])).await;
    let intent = removal_of(&alice);
    let id = intent.id;

    assert!(parts.applier.remove_locally(alice.key, intent).await.unwrap());
    assert_eq!(parts.old(), ["ghost"]);
    let known = HashSet::from([alice.key]);
    parts.applier.sweep(|| known).await.unwrap();
    assert_eq!(parts.old(), [] as [&str; 0]);
    parts.applier.restore(id).await.unwrap();
    assert_eq!(parts.old(), ["alice"], "management refused the delete");
}

/// The entries say whose they are.
#[tokio::test]
async fn after_a_lost_journal_the_command_of_a_user_ends_what_it_does_not_let_in() {
    let (parts, alice, bob) = (Parts::with_an_old_listener(), User::new("alice"), User::new("bob"));
    parts
        .puts(with(&alice, 1, &[certificate("alice"), certificate("alice-phone")]))
        .await;
    parts.puts(with(&bob, 1, &[certificate("bob")])).await;
    let journal = Journal::open(&parts.dir.root().join("another.db"), &Tasks::new()).unwrap();
    let projected = Projected {
        vpn: Vpn::from(parts.vpn.clone()).with_old(old_listener(&parts.dir)),
        holding: parts.holding.clone(),
        profiles: parts.dir.profiles(),
    };
    let applier = Applier::new(parts.node.clone(), journal, projected);

    let put = with(&alice, 2, &[certificate("alice")]);
    applier.apply(vec![Command::PutUser(put)], 0).await.unwrap();
    assert_eq!(parts.old(), ["alice", "bob"], "of bob nothing was said");
    applier.apply(vec![bob.removed(2)], 0).await.unwrap();

    assert_eq!(parts.old(), ["alice"]);
}
