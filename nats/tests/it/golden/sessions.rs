//! Who was connected.

use vpnmanager_nats::{
    envelope::Envelope,
    listeners::Listener,
    node_requests::LiveSession,
    sessions::{EndKind, Ended, SessionRecord, SessionReport},
};

use super::{
    family::{Family, shapes},
    fixed,
};

shapes!(|report: &SessionReport| (end_of_first(report), listener_of_first(report)) => {
    (None, Some(_)) => "living_on_a_listener",
    (None, None) => "living",
    (Some(EndKind::Seen), _) => "ended",
    (Some(EndKind::Assumed), _) => "ended_unseen",
});

fn end_of_first(report: &SessionReport) -> Option<EndKind> {
    let ended = report.records.first()?.ended.as_ref()?;
    Some(ended.kind)
}

fn listener_of_first(report: &SessionReport) -> Option<Listener> {
    report.records.first()?.session.listener
}

#[test]
fn sessions() {
    let ended = |kind| {
        Some(Ended {
            at: fixed::moment(),
            kind,
        })
    };
    let mut on_a_listener = report(None);
    for record in &mut on_a_listener.body.records {
        record.session.listener = Some("tcp:443".parse().unwrap());
    }
    let samples = vec![
        report(None),
        on_a_listener,
        report(ended(EndKind::Seen)),
        report(ended(EndKind::Assumed)),
    ];
    Family {
        folder: "sessions",
        shapes: SHAPES,
        shape_of,
        samples,
    }
    .check();
}

fn report(ended: Option<Ended>) -> Envelope<SessionReport> {
    Envelope::new(SessionReport {
        node: fixed::node(),
        instance: fixed::instance(),
        records: vec![SessionRecord {
            session: LiveSession {
                common_name: fixed::credential(),
                cid: Some(7),
                real_address: "192.0.2.1:50000".to_owned(),
                virtual_address: Some("10.8.0.2".to_owned()),
                virtual_address6: Some("fd00:8::2".to_owned()),
                bytes_in: 4321,
                bytes_out: 1234,
                since: fixed::at("2027-03-01T08:00:00Z"),
                client_version: Some("2.6.14".to_owned()),
                client_platform: Some("linux".to_owned()),
                listener: None,
            },
            seen_at: fixed::moment(),
            ended,
        }],
    })
}
