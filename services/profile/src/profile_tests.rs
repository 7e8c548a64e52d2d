use super::*;

fn remote(host: &str, protocol: Protocol) -> Remote {
    Remote {
        host: host.parse().expect("a valid host"),
        port: 1194,
        protocol,
    }
}

fn render(remotes: &[Remote], prefix: &str, ca: &str) -> Result<Profile, ProfileError> {
    Profile::render(&ProfileParts {
        remotes,
        server_name_prefix: prefix,
        ca,
        certificate: &pem::render(CERTIFICATE, b"certificate"),
        key: &pem::render(PRIVATE_KEY, b"key").into(),
        tls_crypt_v2: &pem::render(CLIENT_LABEL, b"tls-crypt-v2").into(),
    })
}

#[test]
fn rendered_for_two_nodes() {
    let remotes = [
        remote("198.18.0.11", Protocol::Udp),
        remote("vpn2.example.com", Protocol::Udp),
    ];
    let profile = render(&remotes, "node.fleet-1.", &pem::render(CERTIFICATE, b"authority")).expect("a profile");
    insta::assert_snapshot!(profile.expose());
    assert_eq!(profile.checksum().len(), 64);
}

#[test]
fn mixed_protocols_stand_in_each_remote_line() {
    let remotes = [remote("a.example", Protocol::Udp), remote("b.example", Protocol::Tcp)];
    let profile = render(&remotes, "node", &pem::render(CERTIFICATE, b"authority")).expect("a profile");
    assert!(
        profile
            .expose()
            .contains("remote a.example 1194 udp\nremote b.example 1194 tcp-client\n")
    );
    assert!(!profile.expose().contains("\nproto "));
    assert!(!profile.expose().contains("explicit-exit-notify"));
}

#[test]
fn a_host_with_several_listeners_stands_in_a_line_for_each() {
    let on = |port, protocol| Remote {
        port,
        ..remote("a.example", protocol)
    };
    let ca = pem::render(CERTIFICATE, b"authority");
    let of_both = [on(1194, Protocol::Udp), on(443, Protocol::Tcp)];
    let profile = render(&of_both, "node", &ca).expect("a profile");
    assert!(
        profile
            .expose()
            .contains("\nremote a.example 1194 udp\nremote a.example 443 tcp-client\n")
    );
    assert!(!profile.expose().contains("explicit-exit-notify"));

    let of_udp = [on(1194, Protocol::Udp), on(53, Protocol::Udp)];
    let profile = render(&of_udp, "node", &ca).expect("a profile");
    assert!(
        profile
            .expose()
            .contains("\nproto udp\nremote a.example 1194\nremote a.example 53\n")
    );
    assert!(profile.expose().contains("\nexplicit-exit-notify 1\n"));
}

#[test]
fn nothing_rides_along_with_a_certificate() {
    let ca = format!(
        "up /bin/evil\n{}</ca>\nup /bin/evil\n",
        pem::render(CERTIFICATE, b"authority")
    );
    let profile = render(&[remote("a.example", Protocol::Udp)], "node", &ca).expect("a profile");
    assert!(!profile.expose().contains("evil"));
}

#[test]
fn bad_parts_are_refused() {
    let ca = pem::render(CERTIFICATE, b"authority");
    let remotes = [remote("a.example", Protocol::Udp)];
    assert!(matches!(render(&[], "node", &ca), Err(ProfileError::NoRemote)));
    assert!(matches!(
        render(&remotes, "node name-prefix\nup x", &ca),
        Err(ProfileError::Prefix)
    ));
    let key_as_ca = pem::render(PRIVATE_KEY, b"key");
    assert!(matches!(
        render(&remotes, "node", &key_as_ca),
        Err(ProfileError::Pem {
            part: "CA certificate",
            ..
        })
    ));
}

#[test]
fn a_profile_shows_nothing_in_a_log() {
    let ca = pem::render(CERTIFICATE, b"authority");
    let profile = render(&[remote("a.example", Protocol::Udp)], "node", &ca).expect("a profile");
    assert_eq!(format!("{profile:?}"), "Profile([REDACTED])");
}

#[test]
fn the_checksum_is_plain_sha256() {
    assert_eq!(
        sha256_hex(b"abc"),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
}

/// A profile of one server with these directives and this name of the fleet.
fn rendered_with(directives: &[&str], fleet_name: Option<&str>) -> String {
    let directives: Vec<ClientDirective> = directives.iter().map(|text| text.parse().expect(text)).collect();
    let fleet_name: Option<FleetName> = fleet_name.map(|name| name.parse().expect("a name"));
    let extras = Extras {
        fleet_name: fleet_name.as_ref(),
        directives: &directives,
        mtu: None,
    };
    rendered_saying(&extras)
}

/// A profile of one server that says this besides.
fn rendered_saying(extras: &Extras<'_>) -> String {
    let parts = ProfileParts {
        remotes: &[remote("a.example", Protocol::Udp)],
        server_name_prefix: "node",
        ca: &pem::render(CERTIFICATE, b"authority"),
        certificate: &pem::render(CERTIFICATE, b"certificate"),
        key: &pem::render(PRIVATE_KEY, b"key").into(),
        tls_crypt_v2: &pem::render(CLIENT_LABEL, b"tls-crypt-v2").into(),
    };
    let profile = Profile::render_with(&parts, extras).expect("a profile");
    profile.expose().to_owned()
}

/// The lines before the certificates.
fn lines(profile: &str) -> Vec<&str> {
    profile.lines().take_while(|line| !line.starts_with('<')).collect()
}

#[test]
fn directives_stand_before_the_certificates_or_in_the_place_of_what_the_profile_says_itself() {
    let plain = rendered_with(&[], None);
    let directives = [
        "verb 1",
        "mssfix 1400",
        "block-outside-dns",
        "server-poll-timeout 5",
        "connect-retry 2 30",
    ];
    let profile = rendered_with(&directives, Some("Example Corp. VPN"));
    let mut expected: Vec<&str> = lines(&plain)
        .into_iter()
        .map(|line| match line {
            "verb 3" => "verb 1",
            "server-poll-timeout 3" => "server-poll-timeout 5",
            "connect-retry 1 10" => "connect-retry 2 30",
            other => other,
        })
        .collect();
    expected.extend([
        "mssfix 1400",
        "setenv opt block-outside-dns",
        "setenv FRIENDLY_NAME \"Example Corp. VPN\"",
    ]);
    assert_eq!(lines(&profile), expected);
    let certificates = |text: &str| text.split_once("<ca>").expect("certificates").1.to_owned();
    assert_eq!(certificates(&profile), certificates(&plain));
}

/// A filter of one of them alone would leave a client between its own DNS and that of the tunnel.
#[test]
fn a_client_that_keeps_its_own_dns_leaves_out_all_that_is_pushed_of_it() {
    let plain = rendered_with(&[], None);
    let profile = rendered_with(&["pull-filter ignore dns", "float"], None);
    let mut expected = lines(&plain);
    expected.extend([
        "pull-filter ignore dhcp-option",
        "pull-filter ignore dns",
        "pull-filter ignore block-outside-dns",
        "float",
    ]);
    assert_eq!(lines(&profile), expected);
}

/// The server's own MTU is pushed last, and would win.
#[test]
fn the_mtu_is_said_for_old_clients_and_the_usual_one_of_a_server_is_left_out_by_new_ones() {
    let plain = rendered_with(&[], None);
    let fleet_name: FleetName = "Example Corp. VPN".parse().expect("a name");
    let extras = Extras {
        fleet_name: Some(&fleet_name),
        directives: &[ClientDirective::Float],
        mtu: Some(Mtu::try_from(1320).expect("an MTU")),
    };
    let profile = rendered_saying(&extras);
    let mut expected = lines(&plain);
    expected.extend([
        "float",
        "tun-mtu 1320",
        "pull-filter ignore \"tun-mtu 1500\"",
        "setenv FRIENDLY_NAME \"Example Corp. VPN\"",
    ]);
    assert_eq!(lines(&profile), expected);
    assert!(!plain.contains("mtu"), "{plain}");
}

/// OpenVPN 3 refuses profiles that are locked to a server: `setenv GENERIC_CONFIG`.
#[test]
fn a_profile_without_a_name_of_the_fleet_sets_no_variable() {
    assert!(!rendered_with(&["float"], None).contains("setenv"));
}
