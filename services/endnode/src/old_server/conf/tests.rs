use std::fs;

use super::*;

fn conf_in(dir: &Path, text: &str) -> OldConf {
    let file = dir.join("server.conf");
    fs::write(&file, text).expect("written");
    OldConf::read(&file)
}

#[test]
fn where_it_listens_and_its_networks_are_read() {
    let dir = tempfile::tempdir().expect("a folder");
    for (text, listener, networks) in [
        ("", "udp:1194", &[][..]),
        (
            "port 443\nproto tcp\nserver 10.8.0.0 255.255.255.0\n",
            "tcp:443",
            &["10.8.0.0/24"],
        ),
        ("proto tcp6-server\nlport 1195\nport 1\n", "tcp:1195", &[]),
        ("local 192.0.2.1 8443\nport 1194\n", "udp:8443", &[]),
        ("local 192.0.2.1\nlocal 192.0.2.2 443 tcp\nport 1195\n", "udp:1195", &[]),
        ("local 192.0.2.2 443 tcp\nlocal 192.0.2.1\n", "tcp:443", &[]),
        (
            "server 10.8.0.7 255.255.0.0\nserver-ipv6 fd00:8::1/64\n",
            "udp:1194",
            &["10.8.0.0/16", "fd00:8::/64"],
        ),
        (
            "ifconfig-pool 10.9.0.2 10.9.0.200 255.255.255.0\n",
            "udp:1194",
            &["10.9.0.2/32", "10.9.0.200/32"],
        ),
        ("server 10.8.0.0 255.0.255.0\nport many\n", "udp:1194", &[]),
    ] {
        let conf = conf_in(dir.path(), text);
        assert_eq!(conf.listener().to_string(), listener, "{text}");
        let read: Vec<String> = conf.networks().iter().map(ToString::to_string).collect();
        assert_eq!(read, networks, "{text}");
    }
}

#[test]
fn servers_that_the_agent_cannot_run_are_refused_with_the_reason() {
    let dir = tempfile::tempdir().expect("a folder");
    for (text, said) in [
        ("dev tun\nsecret static.key\n", "not that of a server"),
        ("client\ndev tun\nremote vpn.example.org\n", "not that of a server"),
        ("plugin /usr/lib/openvpn/openvpn-plugin-auth-pam.so login\n", "`plugin`"),
        ("plugin /usr/lib/openvpn/radiusplugin.so\n", "`plugin`"),
        (
            "auth-user-pass-verify /etc/openvpn/check.sh via-env\n",
            "asks for passwords",
        ),
        ("verify-client-cert none\n", "asks for passwords"),
        ("client-cert-not-required\n", "asks for passwords"),
        ("management-client-auth\n", "another program"),
        ("x509-username-field emailAddress\n", "common name"),
        ("port \"1194\n", "does not start"),
        ("config none.conf\n", "cannot read"),
    ] {
        let refusals = conf_in(dir.path(), text).refusals();
        assert!(
            refusals.iter().any(|refusal| refusal.contains(said)),
            "{text}: {refusals:?}"
        );
    }
    for text in [
        "dev tun\nverify-client-cert require\nx509-username-field CN\n",
        "plugin /usr/lib/openvpn/openvpn-plugin-down-root.so /etc/openvpn/down\n",
    ] {
        assert_eq!(conf_in(dir.path(), text).refusals(), Vec::<String>::new(), "{text}");
    }
    let unread = OldConf::read(&dir.path().join("none"));
    assert!(unread.refusals()[0].contains("cannot read"), "{:?}", unread.refusals());
}

#[test]
fn who_was_revoked_is_read_from_the_list_or_the_folder_of_before() {
    let dir = tempfile::tempdir().expect("a folder");
    let at = |name: &str| dir.path().join(name);
    fs::write(at("crl.pem"), include_str!("../revoked/ended.crl.pem")).expect("written");
    fs::create_dir(at("serials")).expect("made");
    for name in ["7", "258", "README"] {
        fs::write(at("serials").join(name), "").expect("written");
    }
    let revoked = |text: &str| {
        let serials = conf_in(dir.path(), text).own_refusals().read()?;
        Ok::<_, String>(serials.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    assert_eq!(revoked("").expect("none"), [] as [&str; 0]);
    assert_eq!(revoked("crl-verify crl.pem\n").expect("a list"), ["1", "2587"]);
    assert_eq!(revoked("crl-verify serials dir\n").expect("a folder"), ["258", "7"]);
    let inline = format!(
        "<crl-verify>\n{}</crl-verify>\n",
        include_str!("../revoked/ended.crl.pem")
    );
    assert_eq!(revoked(&inline).expect("a block"), ["1", "2587"]);
    for lost in [
        "crl-verify none.pem\n",
        "crl-verify none dir\n",
        "crl-verify server.conf\n",
    ] {
        revoked(lost).expect_err(lost);
    }
    let jailed = conf_in(dir.path(), "crl-verify /serials dir\nchroot /srv/jail\n");
    assert_eq!(
        jailed.own_refusals(),
        OwnRefusals::Folder(PathBuf::from("/srv/jail/serials"))
    );
}

#[test]
fn the_folder_of_single_clients_lies_inside_the_root_that_openvpn_changes_to() {
    let dir = tempfile::tempdir().expect("a folder");
    let client_dir = |text: &str| conf_in(dir.path(), text).client_dir();
    assert_eq!(client_dir(""), None);
    assert_eq!(
        client_dir("client-config-dir ccd\n"),
        Some((dir.path().join("ccd"), false))
    );
    assert_eq!(
        client_dir("client-config-dir /ccd\nccd-exclusive\nchroot /srv/jail\n"),
        Some((PathBuf::from("/srv/jail/ccd"), true))
    );
}
