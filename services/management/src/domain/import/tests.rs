//! What becomes of each kind of entry.

mod access;

use chrono::{DateTime, TimeDelta, Utc};
use vpnmanager_adopt::found::{Found, FoundCertificate, FoundUser, Place};
use vpnmanager_nats::{
    groups::GroupName,
    ids::{CommonName, NodeId},
    old_certificates::SerialNumber,
    username::Username,
};

use super::{
    held::{Held, HeldCertificate, HeldUser, Owner},
    outcome::Outcome,
    plan::{Source, plan},
    planned::{Names, Planned, Work},
    policies::{Ended, Policies, RefusedNames, SameName, TwoCertificates},
    report::{About, Counts, Report},
};

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).expect("a time")
}

fn node() -> NodeId {
    "node-1".parse().expect("a valid id")
}

fn username(name: &str) -> Username {
    name.parse().expect("a username")
}

fn common_name(name: &str) -> CommonName {
    name.parse().expect("a common name")
}

/// A certificate that ends so many days from now.
fn certificate(name: &str, serial: u32, days: i64) -> FoundCertificate {
    FoundCertificate {
        common_name: name.to_owned(),
        serial: serial.to_string().parse().expect("a serial number"),
        not_after: now() + TimeDelta::days(days),
        is_revoked: false,
    }
}

fn revoked(certificate: FoundCertificate) -> FoundCertificate {
    FoundCertificate {
        is_revoked: true,
        ..certificate
    }
}

fn user(name: &str, certificates: Vec<FoundCertificate>) -> FoundUser {
    let place = Place {
        file: "index.txt".to_owned(),
        line: Some(1),
    };
    FoundUser {
        certificates,
        ..FoundUser::new(name.to_owned(), place)
    }
}

/// One who has a valid certificate of the same name.
fn certified(name: &str) -> FoundUser {
    user(name, vec![certificate(name, 1, 100)])
}

fn found(users: Vec<FoundUser>) -> Found {
    Found {
        users,
        ..Found::default()
    }
}

fn planned(users: Vec<FoundUser>, policies: &Policies, held: &Held) -> Vec<Planned> {
    let (found, node) = (found(users), node());
    let source = Source {
        found: &found,
        node: &node,
        pool: "default",
        now: now(),
    };
    plan(source, policies, held)
}

/// What becomes of one user, with the name in the fleet.
fn one(user: FoundUser, policies: &Policies, held: &Held) -> (Outcome, Option<String>) {
    let planned = planned(vec![user], policies, held).remove(0);
    (planned.outcome, planned.username.map(|name| name.to_string()))
}

fn held_user(name: &str, home: &str, pool: &str) -> Held {
    let user = HeldUser {
        id: 7,
        home: home.parse().expect("a valid id"),
        pool: pool.to_owned(),
        group: GroupName::default(),
        has_access: true,
    };
    Held {
        users: [(username(name), user)].into(),
        ..Held::default()
    }
}

/// The certificate `alice` with the serial number 1 of the user alice.
fn held_certificate(is_revoked: bool) -> Held {
    let owner = Owner {
        id: 7,
        username: username("alice"),
        has_access: true,
    };
    let certificate = HeldCertificate {
        id: 70,
        owner: (!is_revoked).then_some(owner),
        serial: "1".parse().expect("a serial number"),
        not_after: now() + TimeDelta::days(100),
        revoked: Vec::new(),
    };
    Held {
        certificates: [(common_name("alice"), certificate)].into(),
        ..Held::default()
    }
}

#[test]
fn somebody_new_is_created_with_the_certificate() {
    let planned = planned(vec![certified("alice")], &Policies::default(), &Held::default());
    let Work::Create(newcomer) = &planned[0].work else {
        panic!("{planned:?}");
    };
    assert_eq!(newcomer.username.as_str(), "alice");
    assert_eq!(newcomer.certificates[0].common_name.as_str(), "alice");
    assert_eq!(planned[0].reasons, Vec::<String>::new());
    let counts = Counts::of(&planned);
    assert_eq!((counts.created, counts.old_certificates), (1, 1));
}

#[test]
fn the_same_source_again_changes_nothing() {
    let held = held_certificate(false);
    let (outcome, name) = one(certified("alice"), &Policies::default(), &held);
    assert_eq!((outcome, name.as_deref()), (Outcome::Unchanged, Some("alice")));
}

#[test]
fn what_was_revoked_here_does_not_come_back() {
    let held = held_certificate(true);
    assert_eq!(
        one(certified("alice"), &Policies::default(), &held),
        (Outcome::Skipped, None)
    );
}

#[test]
fn what_the_source_revokes_later_is_revoked() {
    let held = held_certificate(false);
    let gone = user("alice", vec![revoked(certificate("alice", 1, 100))]);
    let planned = planned(vec![gone], &Policies::default(), &held);
    let Work::Amend(amendment) = &planned[0].work else {
        panic!("{planned:?}");
    };
    assert_eq!(planned[0].outcome, Outcome::Changed);
    assert_eq!(amendment.revoke, [(70, common_name("alice"))]);
}

#[test]
fn a_certificate_that_was_revoked_and_made_again_leaves_its_serial_number_refused() {
    let held = held_certificate(false);
    let renewed = user(
        "alice",
        vec![revoked(certificate("alice", 1, 100)), certificate("alice", 2, 200)],
    );
    let planned = planned(vec![renewed], &Policies::default(), &held);
    let Work::Amend(amendment) = &planned[0].work else {
        panic!("{planned:?}");
    };
    let (row, certificate) = &amendment.change[0];
    assert_eq!((*row, certificate.serial.as_str()), (70, "2"));
    let revoked: SerialNumber = "1".parse().expect("a serial number");
    assert_eq!(certificate.revoked, [revoked]);
}

#[test]
fn who_has_the_name_of_a_user_of_another_server_is_joined_left_or_renamed() {
    let held = held_user("alice", "node-2", "default");
    for (same_name, expected) in [
        (SameName::Join, (Outcome::Joined, Some("alice"))),
        (SameName::Skip, (Outcome::Conflict, None)),
        (SameName::Rename, (Outcome::Created, Some("alice-node-1"))),
    ] {
        let policies = Policies {
            same_name,
            ..Policies::default()
        };
        let (outcome, name) = one(certified("alice"), &policies, &held);
        assert_eq!((outcome, name.as_deref()), expected, "{same_name}");
    }
    // Who was imported from this server before is no other user.
    let held = held_user("alice", "node-1", "default");
    let policies = Policies {
        same_name: SameName::Skip,
        ..Policies::default()
    };
    assert_eq!(one(certified("alice"), &policies, &held).0, Outcome::Joined);
    assert_eq!(one(user("alice", Vec::new()), &policies, &held).0, Outcome::Unchanged);
}

#[test]
fn nobody_gets_into_two_pools() {
    let held = held_user("alice", "node-2", "other");
    let (outcome, _) = one(certified("alice"), &Policies::default(), &held);
    assert_eq!(outcome, Outcome::Conflict);
}

#[test]
fn names_that_usernames_refuse_are_left_or_replaced_and_never_merged() {
    let smith = || user("Alice Smith", vec![certificate("alice.smith", 1, 100)]);
    let skip = Policies::default();
    let replace = Policies {
        refused_names: RefusedNames::Replace,
        ..Policies::default()
    };
    assert_eq!(one(smith(), &skip, &Held::default()), (Outcome::Skipped, None));
    let (outcome, name) = one(smith(), &replace, &Held::default());
    assert_eq!((outcome, name.as_deref()), (Outcome::Created, Some("Alice-Smith")));

    let twins = vec![smith(), certified("Alice-Smith")];
    let outcomes: Vec<Outcome> = planned(twins, &replace, &Held::default())
        .iter()
        .map(|planned| planned.outcome)
        .collect();
    assert_eq!(outcomes, [Outcome::Conflict, Outcome::Created]);
    // Who becomes called like somebody of another server may be somebody else.
    let held = held_user("Alice-Smith", "node-2", "default");
    assert_eq!(one(smith(), &replace, &held), (Outcome::Conflict, None));
    let held = held_user("Alice-Smith", "node-1", "default");
    assert_eq!(
        one(user("Alice Smith", Vec::new()), &replace, &held).0,
        Outcome::Unchanged
    );
}

#[test]
fn a_name_that_is_there_twice_is_a_conflict() {
    let twice = vec![certified("alice"), certified("alice")];
    let planned = planned(twice, &Policies::default(), &Held::default());
    assert_eq!(planned[1].outcome, Outcome::Conflict);
    assert_eq!(
        planned[1].reasons,
        ["the source has this name twice: first in index.txt:1"]
    );
}

#[test]
fn who_is_revoked_or_has_ended_is_left_unless_a_policy_says_otherwise() {
    let revoked_user = user("bob", vec![revoked(certificate("bob", 1, 100))]);
    let ended = user("carol", vec![certificate("carol", 1, -1)]);
    let no_access = FoundUser {
        expires_at: Some(now() - TimeDelta::days(1)),
        ..certified("dave")
    };
    let import = Policies {
        ended: Ended::Import,
        ..Policies::default()
    };
    for (user, skipped, imported) in [
        (revoked_user, Outcome::Skipped, Outcome::Skipped),
        (ended, Outcome::Skipped, Outcome::Created),
        (no_access, Outcome::Skipped, Outcome::Created),
    ] {
        let name = user.name.clone();
        assert_eq!(
            one(user.clone(), &Policies::default(), &Held::default()).0,
            skipped,
            "{name}"
        );
        assert_eq!(one(user, &import, &Held::default()).0, imported, "{name}");
    }
}

#[test]
fn of_two_valid_certificates_all_or_the_newest_is_accepted() {
    let two = || {
        user(
            "alice",
            vec![certificate("alice", 1, 100), certificate("alice", 2, 200)],
        )
    };
    for (two_certificates, refused) in [(TwoCertificates::Keep, 0), (TwoCertificates::Newest, 1)] {
        let policies = Policies {
            two_certificates,
            ..Policies::default()
        };
        let planned = planned(vec![two()], &policies, &Held::default());
        let Work::Create(newcomer) = &planned[0].work else {
            panic!("{planned:?}");
        };
        let certificate = &newcomer.certificates[0];
        assert_eq!((certificate.serial.as_str(), certificate.revoked.len()), ("2", refused));
        assert_eq!(planned[0].reasons.len(), 1, "it is told");
    }
}

#[test]
fn a_serial_number_that_is_revoked_stays_so_whatever_else_the_source_says() {
    let twice = user(
        "alice",
        vec![revoked(certificate("alice", 1, 100)), certificate("alice", 1, 100)],
    );
    assert_eq!(one(twice, &Policies::default(), &Held::default()).0, Outcome::Skipped);
}

#[test]
fn an_old_name_never_passes_for_a_credential_and_is_of_one_user() {
    let held = Held {
        credentials: [common_name("alice")].into(),
        ..Held::default()
    };
    let planned_beside = planned(vec![certified("alice")], &Policies::default(), &held);
    let Work::Create(newcomer) = &planned_beside[0].work else {
        panic!("{planned_beside:?}");
    };
    assert!(newcomer.certificates.is_empty(), "{newcomer:?}");

    let shared = vec![certified("alice"), user("bob", vec![certificate("alice", 1, 100)])];
    let planned = planned(shared, &Policies::default(), &Held::default());
    let Work::Create(second) = &planned[1].work else {
        panic!("{planned:?}");
    };
    assert!(second.certificates.is_empty(), "{second:?}");
}

#[test]
fn the_database_is_asked_for_each_name_that_a_user_may_get() {
    let names = Names::of(&found(vec![certified("alice"), user("two words", Vec::new())]), &node());
    let mut usernames: Vec<&str> = names.usernames.iter().map(Username::as_str).collect();
    usernames.sort_unstable();
    assert_eq!(usernames, ["alice", "alice-node-1", "two-words", "two-words-node-1"]);
    assert_eq!(names.common_names, [common_name("alice")].into());
}

#[test]
fn a_report_is_shortened_to_what_is_noteworthy_and_says_so() {
    let users = vec![certified("alice"), certified("alice"), certified("bob")];
    let (found, node, policies) = (found(users), node(), Policies::default());
    let source = Source {
        found: &found,
        node: &node,
        pool: "default",
        now: now(),
    };
    let about = About {
        node: &node,
        source: "easy-rsa",
        sha256: "00",
        found: &found,
        policies: &policies,
    };
    let report = Report::of(about, &plan(source, &policies, &Held::default()));
    assert_eq!((report.entries.len(), report.counts.conflicts), (3, 1));
    let short = report.shortened(10);
    assert_eq!((short.entries.len(), short.entries_left_out), (1, 2));
    assert_eq!(short.entries[0].outcome, Outcome::Conflict);
    let json = serde_json::to_value(&short).expect("JSON");
    assert_eq!(serde_json::from_value::<Report>(json).expect("a report"), short);
}
