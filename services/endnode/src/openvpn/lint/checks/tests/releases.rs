//! What some releases of OpenVPN refuse.

use super::*;

#[test]
fn without_dh_only_a_release_that_needs_none_starts() {
    let place = Place::new();
    let text = GOOD.replace("<dh>\n    duplicate-cn\n    </dh>\n", "");
    assert!(!text.contains("dh"));
    for (release, severity) in [
        ("2.5.9", Some(Severity::Error)),
        ("2.6.14", Some(Severity::Error)),
        ("2.7.0", None),
        ("2.10.0", None),
        ("", Some(Severity::Warning)),
    ] {
        let found = place.findings_of(release, &text);
        let severities: Vec<Severity> = found.iter().map(|finding| finding.severity).collect();
        assert_eq!(
            severities,
            severity.into_iter().collect::<Vec<_>>(),
            "{release}: {found:?}"
        );
        assert_eq!(place.findings_of(release, &format!("{text}\ndh none\n")), []);
    }
}

#[test]
fn over_tcp_an_exit_notification_is_not_asked_for_and_an_old_release_refuses_it() {
    let mut place = Place::new();
    place.expected.protocol = Protocol::Tcp;
    let text = GOOD.replace("proto udp", "proto tcp-server");
    for absent in ["", "explicit-exit-notify 0"] {
        assert_eq!(place.findings(&text.replace("explicit-exit-notify 2", absent)), []);
    }
    for (release, severity) in [
        ("2.5.9", Severity::Error),
        ("2.6.14", Severity::Warning),
        ("", Severity::Warning),
    ] {
        for present in ["explicit-exit-notify 2", "explicit-exit-notify"] {
            let found = place.findings_of(release, &text.replace("explicit-exit-notify 2", present));
            assert_eq!(found.len(), 1, "{release}: {found:?}");
            assert_eq!(found[0].severity, severity, "{release}: {found:?}");
            assert!(
                found[0].message.starts_with("remove `explicit-exit-notify`"),
                "{found:?}"
            );
        }
    }
}
