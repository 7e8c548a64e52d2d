//! Old certificates.

use super::*;

fn old(name: &str, expires_at: Option<DateTime<Utc>>) -> OldCertificate {
    OldCertificate {
        common_name: name.parse().unwrap(),
        expires_at,
        revoked: Vec::new(),
    }
}

/// The same of before old certificates.
#[test]
fn old_certificates_that_were_not_kept_are_taken_from_a_command_of_the_same_revision() {
    let now = Utc::now();
    let with = |certificates: &[&str]| {
        Command::PutUser(PutUser {
            old_certificates: certificates.iter().map(|name| old(name, None)).collect(),
            ..put(1, &["a.x"])
        })
    };
    let kept = |certificates| held(with(certificates), &[("a.x", complete())]);
    for (before, told, is_change) in [
        (&[][..], &["alice"][..], true),
        (&["alice"], &["alice"], false),
        (&["alice"], &[], false),
        (&[], &[], false),
    ] {
        let planned = plan(Some(&kept(before)), &with(told), now);
        assert_eq!(matches!(planned, Plan::Change(_)), is_change, "{before:?}, {told:?}");
    }
}

#[test]
fn old_certificates_let_in_whoever_has_access_and_is_in_no_group_until_each_ends() {
    let now = Utc::now();
    let an_hour = TimeDelta::hours(1);
    let certificates = vec![
        old("alice", None),
        old("soon", Some(now + an_hour)),
        old("over", Some(now)),
    ];
    let with = |put: PutUser| {
        Command::PutUser(PutUser {
            old_certificates: certificates.clone(),
            ..put
        })
    };
    let let_in = |command: &Command| -> Vec<String> {
        let let_in = old_let_in(command, now);
        let_in.map(|certificate| certificate.common_name.to_string()).collect()
    };
    let of = || put(1, &["a.x"]);
    assert_eq!(let_in(&with(of())), ["alice", "soon"]);
    for put in [
        PutUser { active: false, ..of() },
        PutUser {
            expires_at: Some(now),
            ..of()
        },
        PutUser {
            group: Some("sales".parse().unwrap()),
            ..of()
        },
    ] {
        assert!(let_in(&with(put.clone())).is_empty(), "{put:?}");
    }
    assert!(let_in(&removed(1)).is_empty());
}
