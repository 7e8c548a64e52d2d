//! Nobody gets in whom the old server keeps out, whatever else is known of the name.

use super::*;
use crate::domain::import::certificates::NewCertificate;

fn suspended(name: &str) -> FoundUser {
    FoundUser {
        active: false,
        ..certified(name)
    }
}

fn ending(name: &str, days: i64) -> FoundUser {
    FoundUser {
        expires_at: Some(now() + TimeDelta::days(days)),
        ..certified(name)
    }
}

/// The one user of these whose certificate is to be accepted, with what is said of it.
fn added(planned: &Planned) -> &NewCertificate {
    match &planned.work {
        Work::Create(newcomer) => &newcomer.certificates[0],
        Work::Amend(amendment) => &amendment.add[0],
        Work::None => panic!("{planned:?}"),
    }
}

#[test]
fn whom_the_source_keeps_out_gets_nothing_by_having_access_elsewhere() {
    let held = held_user("alice", "node-2", "default");
    let import = Policies {
        ended: Ended::Import,
        ..Policies::default()
    };
    for user in [suspended("alice"), ending("alice", -1)] {
        assert_eq!(one(user, &import, &held), (Outcome::Conflict, None));
    }
    // Both keep her out: she is one user who is suspended.
    let mut held = held;
    for user in held.users.values_mut() {
        user.has_access = false;
    }
    assert_eq!(one(suspended("alice"), &import, &held).0, Outcome::Joined);
    let planned = planned(vec![certified("alice")], &import, &held).remove(0);
    assert_eq!(planned.outcome, Outcome::Joined);
    assert!(
        planned
            .reasons
            .iter()
            .any(|reason| reason.contains("has no access here")),
        "{planned:?}"
    );
}

#[test]
fn who_is_suspended_in_a_later_state_of_the_source_is_told_of_once_certificates_are_as_they_were() {
    let mut held = held_certificate(false);
    let (outcome, name) = one(suspended("alice"), &Policies::default(), &held);
    assert_eq!((outcome, name.as_deref()), (Outcome::Conflict, Some("alice")));
    for certificate in held.certificates.values_mut() {
        certificate.owner = certificate.owner.take().map(|owner| Owner {
            has_access: false,
            ..owner
        });
    }
    assert_eq!(
        one(suspended("alice"), &Policies::default(), &held).0,
        Outcome::Unchanged
    );
}

#[test]
fn the_old_profile_of_who_is_joined_ends_as_access_does_on_that_server() {
    let held = held_user("alice", "node-2", "default");
    let until = |days| Some(now() + TimeDelta::days(days));
    for (user, old_until, expected) in [
        (certified("alice"), None, None),
        (certified("alice"), until(30), until(30)),
        (ending("alice", 10), None, until(10)),
        (ending("alice", 10), until(30), until(10)),
        (ending("alice", 40), until(30), until(30)),
    ] {
        let policies = Policies {
            old_until,
            ..Policies::default()
        };
        let joined = planned(vec![user.clone()], &policies, &held).remove(0);
        assert_eq!(added(&joined).expires_at, expected, "{user:?}");
        // The end of a new user is the user's own.
        let created = planned(vec![user], &policies, &Held::default()).remove(0);
        assert_eq!(added(&created).expires_at, old_until);
    }
}

#[test]
fn who_is_joined_in_a_group_is_told_that_the_old_profile_ends() {
    let mut held = held_user("alice", "node-2", "default");
    for user in held.users.values_mut() {
        user.group = "sales".parse().expect("a group");
    }
    let joined = planned(vec![certified("alice")], &Policies::default(), &held).remove(0);
    assert!(
        joined.reasons.iter().any(|reason| reason.contains("group sales")),
        "{joined:?}"
    );
}

/// OpenVPN looks for the file `sales_alice` of both, and so the list of the node cannot tell them apart.
#[test]
fn a_certificate_that_openvpn_takes_for_another_one_is_refused_by_its_number() {
    let other = user(
        "sales/alice",
        vec![
            revoked(certificate("sales/alice", 7, 100)),
            certificate("sales/alice", 8, 100),
        ],
    );
    let users = vec![certified("sales_alice"), other, certified("bob")];
    let planned = planned(users, &Policies::default(), &Held::default());
    assert_eq!(added(&planned[0]).revoked, ["7", "8"]);
    assert_eq!(planned[0].reasons.len(), 1, "{planned:?}");
    assert_eq!(planned[1].outcome, Outcome::Skipped);
    assert!(added(&planned[2]).revoked.is_empty());
}

#[test]
fn whose_newest_certificate_was_revoked_is_revoked_and_not_somebody_whose_certificates_ended() {
    let import = Policies {
        ended: Ended::Import,
        ..Policies::default()
    };
    let ended = || certificate("alice", 1, -1);
    let revoked_last = user("alice", vec![ended(), revoked(certificate("alice", 2, 100))]);
    assert_eq!(one(revoked_last, &import, &Held::default()), (Outcome::Skipped, None));
    let ended_last = user("alice", vec![revoked(certificate("alice", 2, -10)), ended()]);
    assert_eq!(one(ended_last, &import, &Held::default()).0, Outcome::Created);
}

/// `easyrsa expire`, `sign-req` and `revoke` leave the older one valid.
#[test]
fn an_older_certificate_that_outlives_a_revoked_one_is_told_of() {
    let alice = user(
        "alice",
        vec![certificate("alice", 1, 50), revoked(certificate("alice", 2, 100))],
    );
    let planned = planned(vec![alice], &Policies::default(), &Held::default()).remove(0);
    assert_eq!(planned.outcome, Outcome::Created);
    assert!(planned.reasons[0].contains("an older one was not"), "{planned:?}");
}

#[test]
fn who_is_renamed_does_not_take_the_name_of_somebody_else_of_the_source() {
    let held = held_user("alice", "node-2", "default");
    let policies = Policies {
        same_name: SameName::Rename,
        ..Policies::default()
    };
    let outcomes: Vec<Outcome> = planned(vec![certified("alice"), certified("alice-node-1")], &policies, &held)
        .iter()
        .map(|planned| planned.outcome)
        .collect();
    assert_eq!(outcomes, [Outcome::Conflict, Outcome::Created]);
}
