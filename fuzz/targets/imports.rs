//! What somebody sends to have it imported, an archive, a database or a list, and what is decided about everybody in it.

#![no_main]

use std::collections::HashSet;

use chrono::Utc;
use libfuzzer_sys::fuzz_target;
use vpnmanager_management::{
    domain::import::{
        certificates::NewCertificate,
        held::Held,
        outcome::Outcome,
        plan::{Source, plan},
        planned::{Planned, Work},
        policies::{Ended, Policies, RefusedNames, TwoCertificates},
        report::{About, Report},
    },
    ops::import::source::{Sent, read_sent},
};
use vpnmanager_nats::ids::NodeId;

const KINDS: [Sent; 4] = [Sent::Tar, Sent::CompressedTar, Sent::Sqlite, Sent::Csv];
/// Serial numbers that one name may have refused.
const MOST_REVOKED: usize = 256;

fuzz_target!(|input: &[u8]| {
    let [kind, choice, content @ ..] = input else { return };
    let kind = KINDS[usize::from(*kind) % KINDS.len()];
    let Ok(read) = read_sent(kind, content) else { return };
    let node: NodeId = "node-1".parse().expect("a valid id");
    let policies = policies(*choice);
    let now = Utc::now();
    let source = Source {
        found: &read.found,
        node: &node,
        pool: "default",
        now,
    };
    let planned = plan(source, &policies, &Held::default());
    assert_eq!(planned.len(), read.found.users.len());
    let mut usernames = HashSet::new();
    for planned in &planned {
        check(planned);
        let Work::Create(newcomer) = &planned.work else {
            continue;
        };
        assert!(usernames.insert(newcomer.username.clone()), "{planned:?}");
        for certificate in &newcomer.certificates {
            assert!(certificate.not_after > now, "{planned:?}");
            check_certificate(certificate);
        }
    }
    let about = About {
        node: &node,
        source: "upload",
        sha256: &read.sha256,
        found: &read.found,
        policies: &policies,
    };
    let report = Report::of(about, &planned).shortened(100);
    assert!(report.entries.len() <= 100 && report.remarks.len() <= 101);
    let json = serde_json::to_value(&report).expect("JSON");
    assert_eq!(serde_json::from_value::<Report>(json).expect("a report"), report);
});

fn policies(choice: u8) -> Policies {
    let has = |bit: u8| choice & (1 << bit) != 0;
    Policies {
        refused_names: if has(0) {
            RefusedNames::Replace
        } else {
            RefusedNames::Skip
        },
        ended: if has(1) { Ended::Import } else { Ended::Skip },
        two_certificates: if has(2) {
            TwoCertificates::Newest
        } else {
            TwoCertificates::Keep
        },
        ..Policies::default()
    }
}

/// Nothing is here yet, so nobody is joined or changed.
fn check(planned: &Planned) {
    let is_created = matches!(planned.work, Work::Create(_));
    assert_eq!(planned.outcome == Outcome::Created, is_created, "{planned:?}");
    assert_eq!(planned.username.is_some(), is_created, "{planned:?}");
    assert!(is_created || !planned.reasons.is_empty(), "{planned:?}");
}

fn check_certificate(certificate: &NewCertificate) {
    assert!(!certificate.revoked.contains(&certificate.serial), "{certificate:?}");
    assert!(certificate.revoked.len() <= MOST_REVOKED, "{certificate:?}");
}
