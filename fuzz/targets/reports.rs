//! Acks, events and sessions, as management reads them from a node's stream.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vpnmanager_fuzz::{text::is_subject, wire::decode};
use vpnmanager_nats::{
    acks::{Ack, Outcome},
    bounded::ENTRIES,
    device::MOST_DEVICES,
    events::{Event, EventKind},
    ids::Revision,
    sessions::{MOST_RECORDS, SessionReport},
    subjects::{self, FromNode},
};

fuzz_target!(|payload: &[u8]| {
    if let Some(ack) = decode::<Ack>(payload) {
        let subject = subjects::ack(&ack.node, ack.user_key);
        is_subject(&subject, 4);
        assert_eq!(FromNode::parse(&subject), Some(FromNode::Ack(ack.node, ack.user_key)));
        assert!((0..=Revision::MAX).contains(&ack.revision.0));
        match ack.outcome {
            Outcome::Applied {
                issued: Some(issued),
                further,
                ..
            } => {
                assert_eq!(issued.profile_checksum.len(), 64);
                assert!(further.len() <= MOST_DEVICES);
            }
            Outcome::Superseded { holds } => assert!((0..=Revision::MAX).contains(&holds.0)),
            Outcome::Applied { issued: None, .. } | Outcome::Failed { .. } | Outcome::Refused { .. } => {}
        }
    }
    if let Some(event) = decode::<Event>(payload) {
        let subject = subjects::event(&event.node, event.kind.name());
        is_subject(&subject, 4);
        assert_eq!(FromNode::parse(&subject), Some(FromNode::Event(event.node)));
        match event.kind {
            EventKind::SessionsCut { common_names } => assert!(common_names.len() <= ENTRIES),
            EventKind::AllowListRepaired { restored, removed } => {
                assert!(restored.len() <= ENTRIES && removed.len() <= ENTRIES);
            }
            EventKind::CommandUndecodable { .. }
            | EventKind::UserExpired { .. }
            | EventKind::OpenvpnUp { .. }
            | EventKind::OpenvpnDown { .. } => {}
        }
    }
    if let Some(report) = decode::<SessionReport>(payload) {
        let subject = subjects::sessions(&report.node);
        is_subject(&subject, 4);
        assert_eq!(FromNode::parse(&subject), Some(FromNode::Sessions(report.node)));
        assert!(report.records.len() <= MOST_RECORDS);
    }
});
