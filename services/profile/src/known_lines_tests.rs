//! Every line that a profile can have is one that each client knows, with so many arguments as it takes there.
//!
//! Sources, each a file of a release:
//!
//! - OpenVPN 2.5.11 and 2.6.3, src/openvpn/options.c: `add_option`, and `parse_line` for the prefix `setenv opt`
//! - OpenVPN 3 core 3.11.7, which Connect is made of: openvpn/client/cliopt.hpp (`settings_ignoreWithWarning`, `settings_ignoreSilently`; what
//!   is in no list and read nowhere makes it refuse the profile), cliopthelper.hpp, optfilt.hpp, remotelist.hpp, openvpn/ssl: proto.hpp,
//!   kuparse.hpp, tlsver.hpp, verify_x509_name.hpp, mssparms.hpp, and openvpn/tun: tunmtu.hpp, client/tunprop.hpp
//! - NetworkManager-openvpn 1.10.2, properties/import-export.c: `do_import`, which skips what it does not know and refuses a wrong number of
//!   arguments

use std::{iter, ops::RangeInclusive};

use vpnmanager_nats::{
    commands::{Protocol, Remote},
    network::Mtu,
};

use crate::{
    directive::{ClientDirective, InvalidDirective},
    parts::{CERTIFICATE, PRIVATE_KEY},
    pem,
    profile::{Extras, Profile, ProfileParts},
    tls_crypt_v2::CLIENT_LABEL,
};

/// What OpenVPN 3 does with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Core3 {
    Reads,
    /// It reads it, and does nothing for profiles like ours.
    ReadsInVain,
    Ignores,
    IgnoresAndSaysSo,
}
use Core3::{Ignores, IgnoresAndSaysSo, Reads, ReadsInVain};

/// A directive, and how many arguments it has.
struct Known {
    name: &'static str,
    openvpn_2_5: RangeInclusive<usize>,
    openvpn_2_6: RangeInclusive<usize>,
    openvpn_3: Core3,
    /// `None`: it skips the line.
    network_manager: Option<RangeInclusive<usize>>,
}

fn known(
    name: &'static str,
    openvpn_2: RangeInclusive<usize>,
    openvpn_3: Core3,
    network_manager: Option<RangeInclusive<usize>>,
) -> Known {
    Known {
        name,
        openvpn_2_5: openvpn_2.clone(),
        openvpn_2_6: openvpn_2,
        openvpn_3,
        network_manager,
    }
}

fn all_known() -> Vec<Known> {
    vec![
        known("client", 0..=0, Reads, Some(0..=0)),
        known("dev", 1..=1, Reads, Some(1..=1)),
        known("proto", 1..=1, Reads, Some(1..=1)),
        known("remote", 1..=3, Reads, Some(1..=3)),
        known("nobind", 0..=0, Ignores, None),
        known("resolv-retry", 1..=1, IgnoresAndSaysSo, None),
        known("server-poll-timeout", 1..=1, Reads, Some(1..=1)),
        known("hand-window", 1..=1, Reads, None),
        known("connect-retry", 1..=2, IgnoresAndSaysSo, None),
        known("remote-cert-tls", 1..=1, Reads, Some(1..=1)),
        known("verify-x509-name", 1..=2, Reads, Some(1..=2)),
        known("tls-version-min", 1..=2, Reads, Some(1..=2)),
        known("data-ciphers", 1..=1, IgnoresAndSaysSo, Some(1..=1)),
        known("auth", 1..=1, Reads, Some(1..=1)),
        known("explicit-exit-notify", 0..=1, IgnoresAndSaysSo, None),
        known("persist-key", 0..=0, IgnoresAndSaysSo, None),
        known("verb", 1..=1, Ignores, None),
        // proto.hpp, cliproto.hpp: it forgets the user's name and password, and profiles have none. It never forgets the password of a key.
        known("auth-nocache", 0..=0, ReadsInVain, None),
        // Only `FRIENDLY_NAME` with a value: cliopthelper.hpp.
        known("setenv", 2..=2, Reads, None),
        known("float", 0..=0, Reads, Some(0..=0)),
        Known {
            openvpn_2_6: 0..=2,
            ..known("mssfix", 0..=1, Reads, Some(0..=1))
        },
        known("mute", 1..=1, IgnoresAndSaysSo, None),
        // A second argument is what 2.6 tells the other side in place of it.
        Known {
            openvpn_2_6: 1..=2,
            ..known("tun-mtu", 1..=1, Reads, Some(1..=1))
        },
        known("pull-filter", 2..=2, Reads, None),
        known("rcvbuf", 1..=1, Ignores, None),
        known("sndbuf", 1..=1, Ignores, None),
    ]
}

/// What OpenVPN 2 knows on some systems only, and says nothing worse of than a warning elsewhere because of `setenv opt`. OpenVPN 3 does
/// nothing for it either: of `block-outside-dns` in a profile cliopt.hpp heeds the argument `allow-loopback` alone, and tunprop.hpp looks at
/// what is pushed. Cores before 3.11 say that they ignore it. OpenVPN 2.6 and newer know `disable-dco`. NetworkManager skips both.
const AFTER_SETENV_OPT: [&str; 2] = ["block-outside-dns", "disable-dco"];

/// The parts of a profile between tags. All four clients read each.
const INLINE: [&str; 4] = ["ca", "cert", "key", "tls-crypt-v2"];

/// The first of the directives of [`each_kind`].
const FIRST: &str = "auth-nocache";

/// The directive after this one, so that no kind can be forgotten: a new one does not compile without a place here.
fn next_kind(directive: ClientDirective) -> Option<&'static str> {
    match directive {
        ClientDirective::AuthNocache => Some("block-outside-dns"),
        ClientDirective::BlockOutsideDns => Some("connect-retry 2 30"),
        ClientDirective::ConnectRetry(_) => Some("disable-dco"),
        ClientDirective::DisableDco => Some("float"),
        ClientDirective::Float => Some("mssfix 1400"),
        ClientDirective::Mssfix(_) => Some("mute 20"),
        ClientDirective::Mute(_) => Some("pull-filter ignore dns"),
        ClientDirective::KeepDns => Some("rcvbuf 393216"),
        ClientDirective::Rcvbuf(_) => Some("sndbuf 393216"),
        ClientDirective::Sndbuf(_) => Some("server-poll-timeout 5"),
        ClientDirective::ServerPollTimeout(_) => Some("verb 4"),
        ClientDirective::Verb(_) => None,
    }
}

/// A directive of each kind.
fn each_kind() -> Vec<ClientDirective> {
    let read = |text: &str| text.parse::<ClientDirective>().expect(text);
    iter::successors(Some(read(FIRST)), |directive| next_kind(*directive).map(read)).collect()
}

fn profile(protocols: &[Protocol], directives: &[ClientDirective], mtu: Option<Mtu>) -> Profile {
    let remotes: Vec<Remote> = protocols
        .iter()
        .map(|protocol| Remote {
            host: "vpn.example".parse().expect("a host"),
            port: 1194,
            protocol: *protocol,
        })
        .collect();
    let parts = ProfileParts {
        remotes: &remotes,
        server_name_prefix: "node.fleet-1.",
        ca: &pem::render(CERTIFICATE, b"authority"),
        certificate: &pem::render(CERTIFICATE, b"certificate"),
        key: &pem::render(PRIVATE_KEY, b"key").into(),
        tls_crypt_v2: &pem::render(CLIENT_LABEL, b"tls-crypt-v2").into(),
    };
    let fleet_name = "Example Corp. VPN".parse().expect("a name");
    let extras = Extras {
        fleet_name: Some(&fleet_name),
        directives,
        mtu,
    };
    Profile::render_with(&parts, &extras).expect("a profile")
}

/// The words of a line, as each of the clients takes it apart: by spaces, and what is between double quotes is one.
fn words(line: &str) -> Vec<String> {
    let mut pieces = line.split('"');
    let bare = pieces.next().unwrap_or_default();
    let mut words: Vec<String> = bare.split_whitespace().map(ToOwned::to_owned).collect();
    if let Some(quoted) = pieces.next() {
        words.push(quoted.to_owned());
        assert_eq!((pieces.next(), pieces.next()), (Some(""), None), "{line}");
    }
    words
}

fn check(line: &str, all: &[Known]) {
    let words = words(line);
    let (name, arguments) = words.split_first().expect("a line has words");
    if name == "setenv" {
        // Any other variable means something else to some client: GENERIC_CONFIG makes OpenVPN 3 refuse the profile.
        match arguments.first().map(String::as_str) {
            Some("opt") => {
                assert!(AFTER_SETENV_OPT.contains(&arguments[1].as_str()), "{line}");
                return;
            }
            variable => assert_eq!(variable, Some("FRIENDLY_NAME"), "{line}"),
        }
    }
    let known = all.iter().find(|known| known.name == name);
    let known = known.unwrap_or_else(|| panic!("not every client knows: {line}"));
    let count = arguments.len();
    assert!(known.openvpn_2_5.contains(&count), "OpenVPN 2.5: {line}");
    assert!(known.openvpn_2_6.contains(&count), "OpenVPN 2.6: {line}");
    let is_read = known.network_manager.as_ref();
    assert!(
        is_read.is_none_or(|counts| counts.contains(&count)),
        "NetworkManager: {line}"
    );
    // What is wholly up to the client must not be what the profile's safety stands on.
    let guards = ["remote-cert-tls", "verify-x509-name", "tls-version-min", "auth"];
    assert!(
        known.openvpn_3 == Reads || !guards.contains(&known.name),
        "OpenVPN 3: {line}"
    );
}

#[test]
fn every_line_of_every_profile_is_known_to_openvpn_2_5_and_2_6_and_3_and_to_network_manager() {
    let all = all_known();
    let alone = each_kind().into_iter().map(|directive| vec![directive]);
    let without = iter::once(Vec::new()).chain(alone).map(|directives| (directives, None));
    let with_mtu = (Vec::new(), Some(Mtu::try_from(1320).expect("an MTU")));
    let extras: Vec<(Vec<ClientDirective>, Option<Mtu>)> = without.chain([with_mtu]).collect();
    for protocols in [&[Protocol::Udp][..], &[Protocol::Tcp], &[Protocol::Udp, Protocol::Tcp]] {
        for (directives, mtu) in &extras {
            let profile = profile(protocols, directives, *mtu);
            let mut inside = None;
            for line in profile.expose().lines() {
                match (inside, line.strip_prefix('<').and_then(|rest| rest.strip_suffix('>'))) {
                    (None, Some(tag)) => {
                        assert!(INLINE.contains(&tag), "{line}");
                        inside = Some(tag);
                    }
                    (Some(tag), Some(end)) => {
                        assert_eq!(end.strip_prefix('/'), Some(tag));
                        inside = None;
                    }
                    (None, None) => check(line, &all),
                    (Some(_), None) => assert!(line.starts_with("-----") || !line.contains([' ', '<'])),
                }
            }
            assert_eq!(inside, None);
        }
    }
}

/// What is refused names what is taken.
#[test]
fn the_refusal_of_an_unknown_directive_names_each_kind() {
    let mut names: Vec<&str> = each_kind().into_iter().map(ClientDirective::name).collect();
    let listed = InvalidDirective::Unknown.to_string();
    let kinds = listed.trim_start_matches("a pool may have ").replace(" and ", ", ");
    let mut kinds: Vec<&str> = kinds.split(", ").collect();
    names.sort_unstable();
    kinds.sort_unstable();
    assert_eq!(names, kinds);
}
