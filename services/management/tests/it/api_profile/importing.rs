//! Profiles in the importer of NetworkManager. OpenVPN 2.6 and 2.5 themselves connect with them in the tunnel suites; that OpenVPN 3, which
//! Debian 12 does not have, knows every line is checked as text (`known_lines_tests` of the crate `profile`).

use std::{collections::BTreeMap, fs};

use sea_orm::ConnectionTrait as _;
use serde_json::json;
use vpnmanager_nats::node_requests::NodeAnswer;
use vpnmanager_testbed::{
    directives,
    networkmanager::{ImportError, Importer, require_importer},
};

use super::{
    home::Home,
    template::{set_directives, set_mtu},
};

/// Imports a profile, and checks that its keys and certificates come out as they are.
async fn imported(importer: &Importer, profile: &str) -> BTreeMap<String, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("alice.ovpn");
    fs::write(&file, profile).expect("written");
    let items = importer.import(&file, folder.path()).await.expect("imported");
    for tag in ["ca", "cert", "key", "tls-crypt-v2"] {
        let stored = fs::read_to_string(&items[tag]).expect("a file");
        assert!(profile.contains(&format!("<{tag}>\n{stored}</{tag}>\n")), "{tag}");
    }
    items
}

fn assert_has(items: &BTreeMap<String, String>, expected: &[(&str, &str)]) {
    for (name, value) in expected {
        assert_eq!(
            items.get(*name).map(String::as_str),
            Some(*value),
            "{name} of {items:?}"
        );
    }
}

#[tokio::test]
async fn network_manager_imports_a_profile_with_everything_that_one_can_have() {
    let Some(importer) = require_importer("the import of profiles into NetworkManager") else {
        return;
    };
    let home = Box::pin(Home::start_with(&[("FLEET_NAME", "Example Corp. VPN")])).await;
    let parts = home.issued("alice").await;
    home.answers(NodeAnswer::ProfileParts(parts));
    let servers = format!("name-prefix:{}", home.stack.app.pki.server_name_prefix());
    let of_the_profile = [
        ("connection-type", "tls"),
        ("dev", "tun"),
        ("remote-cert-tls", "server"),
        ("verify-x509-name", servers.as_str()),
        ("tls-version-min", "1.2"),
        ("data-ciphers", "AES-256-GCM:CHACHA20-POLY1305"),
        ("auth", "SHA256"),
    ];
    let items = imported(&importer, &home.handed_out("alice").await).await;
    assert_has(&items, &of_the_profile);
    assert_has(&items, &[("remote", "127.0.0.1:1194"), ("connect-timeout", "3")]);
    assert_eq!(items.get("proto-tcp"), None);

    let tcp = "UPDATE servers SET public_protocol = 'tcp', public_port = 443";
    home.stack.app.db.execute_unprepared(tcp).await.expect("updated");
    for of_dns in directives::OF_DNS {
        let directives = json!(directives::all_with(of_dns));
        set_directives(&home.stack, "default", &directives).await;
        set_mtu(&home.stack, 1320).await;
        let items = imported(&importer, &home.handed_out("alice").await).await;
        assert_has(&items, &of_the_profile);
        assert_has(
            &items,
            &[
                ("remote", "127.0.0.1:443"),
                ("proto-tcp", "yes"),
                ("connect-timeout", "5"),
                ("float", "yes"),
                ("mssfix", "1400"),
                ("tunnel-mtu", "1320"),
            ],
        );
    }
}

/// So that the test above means something.
#[tokio::test]
async fn the_importer_refuses_what_is_no_profile() {
    let Some(importer) = require_importer("the refusals of NetworkManager's importer") else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("alice.ovpn");
    for (bad, said) in [
        ("client\n", "no remote"),
        ("client\nremote a.example 1194\nmssfix much\n", "mssfix"),
    ] {
        fs::write(&file, bad).expect("written");
        let refused = importer.import(&file, folder.path()).await.expect_err(bad);
        assert!(
            matches!(&refused, ImportError::Refused(why) if why.contains(said)),
            "{refused}"
        );
    }
    let nothing = folder.path().join("nothing.ovpn");
    let failed = importer.import(&nothing, folder.path()).await.expect_err("no file");
    assert!(matches!(failed, ImportError::Failed(_)), "{failed}");
}
