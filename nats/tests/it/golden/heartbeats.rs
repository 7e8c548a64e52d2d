//! How nodes say that they are.

use vpnmanager_nats::{
    envelope::Envelope,
    heartbeats::{Heartbeat, OpenvpnHealth, OpenvpnState},
    ids::Revision,
    network::AppliedNetwork,
    sync::StateDigest,
};

use super::{
    family::{Family, shapes},
    fixed,
};

shapes!(|beat: &Heartbeat| (beat.openvpn.state, beat.fault.is_some(), beat.network.is_some(), beat.groups.is_some()) => {
    (OpenvpnState::Up, false, false, false) => "up_full",
    (OpenvpnState::Up, false, true, false) => "up_network",
    (OpenvpnState::Up, false, _, true) => "up_groups",
    (OpenvpnState::Up, true, ..) => "up_fault",
    (OpenvpnState::Down, ..) => "down",
    (OpenvpnState::Waiting, ..) => "waiting",
    (OpenvpnState::Absent, ..) => "absent_minimal",
});

#[test]
fn heartbeats() {
    let full = Heartbeat {
        disk_free_bytes: Some(64 << 30),
        certificate_expires_at: Some(fixed::at("2029-06-03T08:30:00Z")),
        users: 2,
        last_sequence: 4711,
        complete: true,
        queued_intents: 1,
        draining: true,
        digest: StateDigest(0x0123_4567_89ab_cdef),
        openvpn: OpenvpnHealth {
            pid: Some(4242),
            version: Some("2.6.14".to_owned()),
            sessions: 1,
            bytes_in: 5_000_000_000,
            bytes_out: 70_000_000_000,
            ..openvpn(OpenvpnState::Up, None)
        },
        ..minimal(OpenvpnState::Up, None)
    };
    let samples = vec![
        Envelope::new(full),
        Envelope::new(Heartbeat {
            fault: Some("the disk of /var/lib/vpnmanager/endnode is almost full".to_owned()),
            ..minimal(OpenvpnState::Up, None)
        }),
        Envelope::new(Heartbeat {
            network: Some(AppliedNetwork {
                pool: "default".parse().expect("a pool"),
                revision: Revision(7),
            }),
            ..minimal(OpenvpnState::Up, None)
        }),
        Envelope::new(Heartbeat {
            groups: Some(Revision(4)),
            ..minimal(OpenvpnState::Up, None)
        }),
        Envelope::new(minimal(OpenvpnState::Down, Some("exited with code 1"))),
        Envelope::new(minimal(OpenvpnState::Waiting, Some("no complete snapshot yet"))),
        Envelope::new(minimal(OpenvpnState::Absent, None)),
    ];
    Family {
        folder: "heartbeats",
        shapes: SHAPES,
        shape_of,
        samples,
    }
    .check();
}

fn minimal(state: OpenvpnState, detail: Option<&str>) -> Heartbeat {
    Heartbeat {
        node: fixed::node(),
        instance: fixed::instance(),
        at: fixed::moment(),
        agent_version: "0.1.0".to_owned(),
        uptime_seconds: 86_400,
        openvpn: openvpn(state, detail),
        users: 0,
        digest: StateDigest::default(),
        last_sequence: 0,
        complete: false,
        queued_intents: 0,
        draining: false,
        disk_free_bytes: None,
        fault: None,
        certificate_expires_at: None,
        network: None,
        groups: None,
    }
}

fn openvpn(state: OpenvpnState, detail: Option<&str>) -> OpenvpnHealth {
    OpenvpnHealth {
        state,
        pid: None,
        version: None,
        sessions: 0,
        capacity: 1000,
        bytes_in: 0,
        bytes_out: 0,
        detail: detail.map(ToOwned::to_owned),
    }
}
