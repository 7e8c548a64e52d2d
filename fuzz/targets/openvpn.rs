//! What OpenVPN says on its management socket, and what stands in the configuration files of a node.

#![no_main]

use std::{num::NonZeroU32, path::Path};

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use openvpn_mgmt_codec::{OvpnCodec, OvpnCommand, OvpnMessage, StatusFormat};
use tokio_util::codec::{Decoder as _, Encoder as _};
use vpnmanager_endnode::{
    account::AccountName,
    backend::Session,
    interface::InterfaceName,
    openvpn::{
        control_socket::replies,
        keepalive::Keepalive,
        server_conf::{ConfPath, ServerConf},
        vpn_network::{VpnNetwork, VpnNetwork6},
    },
};
use vpnmanager_fuzz::{text::prints_as_read, wire};
use vpnmanager_nats::{
    commands::Protocol,
    envelope::Envelope,
    node_requests::{LiveSession, NodeAnswer},
};
use vpnmanager_openvpn_conf::words;

/// More than a conversation can have in the longest input.
const MOST_MESSAGES: usize = 20_000;

fuzz_target!(|input: &[u8]| {
    let Some((command, bytes)) = input.split_first() else {
        return;
    };
    conversation(*command, bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    reply(&lines);
    drop(replies::pid_in(text));
    drop(replies::load_in(text));
    configuration(text);
});

/// The codec takes bytes until it needs more of them, and ends.
fn conversation(command: u8, bytes: &[u8]) {
    let mut codec = OvpnCodec::new();
    let command = match command % 4 {
        0 => OvpnCommand::Status(StatusFormat::V3),
        1 => OvpnCommand::State,
        2 => OvpnCommand::Version,
        _ => OvpnCommand::Pid,
    };
    codec.encode(command, &mut BytesMut::new()).expect("a command");
    let mut buffer = BytesMut::from(bytes);
    for _ in 0..MOST_MESSAGES {
        match codec.decode(&mut buffer) {
            Ok(Some(OvpnMessage::MultiLine(lines))) => reply(&lines),
            Ok(Some(OvpnMessage::Success(text))) => {
                drop(replies::pid_in(&text));
                drop(replies::load_in(&text));
            }
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => return,
        }
    }
    panic!("the codec does not end");
}

fn reply(lines: &[String]) {
    drop(replies::state_in(lines));
    if let Ok(Some(version)) = replies::version_in(lines) {
        assert!(!version.contains(char::is_whitespace));
    }
    let sessions = replies::listed_in(lines).unwrap_or_default().sessions;
    assert!(sessions.iter().all(|session| session.common_name != "UNDEF"));
    let sessions: Vec<LiveSession> = sessions.into_iter().filter_map(Session::live).collect();
    // Management can read what the node says about them.
    let answer = Envelope::new(NodeAnswer::Sessions { sessions, more: false });
    assert!(wire::decode::<NodeAnswer>(&answer.encode()).is_some());
}

fn configuration(text: &str) {
    for line in text.lines() {
        let Ok(read) = words(line) else { continue };
        // What is quoted so that nothing in it means anything reads back as it is.
        let quoted = read
            .iter()
            .filter(|word| !word.contains('\''))
            .map(|word| format!("'{word}'"));
        let again = words(&quoted.collect::<Vec<_>>().join(" ")).expect("quoted words");
        let plain: Vec<&String> = read.iter().filter(|word| !word.contains('\'')).collect();
        assert_eq!(again.iter().collect::<Vec<_>>(), plain, "{line:?}");
    }
    prints_as_read::<AccountName>(text);
    if let Some(network) = prints_as_read::<VpnNetwork>(text) {
        assert!(network.client_addresses() >= 5 && network.address().to_bits() & !network.mask().to_bits() == 0);
    }
    if let Ok(network) = text.parse::<VpnNetwork6>() {
        // An IPv6 address may be written in several ways.
        assert_eq!(network.to_string().parse::<VpnNetwork6>(), Ok(network));
        assert!(network.contains(network.address()));
    }
    prints_as_read::<InterfaceName>(text);
    prints_as_read::<Keepalive>(text);
    // A path cannot carry a second directive, whatever stands in it.
    if let Ok(path) = ConfPath::new(Path::new(text)) {
        let lines = |path: &ConfPath| rendered(path).lines().count();
        assert_eq!(lines(&path), lines(&ConfPath::new(Path::new("/a")).expect("a path")));
    }
}

fn rendered(path: &ConfPath) -> String {
    let conf = ServerConf {
        port: 1194,
        protocol: Protocol::Udp,
        listeners: "udp:1194,tcp:443".parse().expect("listeners"),
        ipv6: true,
        network: "10.8.0.0/16".parse().expect("a network"),
        network6: None,
        max_clients: NonZeroU32::MIN,
        spare_places: 0,
        keepalive: Keepalive::default(),
        ca: path.clone(),
        cert: path.clone(),
        key: path.clone(),
        tls_crypt_v2: path.clone(),
        allow_dir: path.clone(),
        control_socket: path.clone(),
        control_user: "root".parse().expect("a name"),
        user: "nobody".parse().expect("a name"),
        group: "nogroup".parse().expect("a name"),
    };
    conf.render()
}
