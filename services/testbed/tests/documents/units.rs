//! The units of systemd, where no systemd tries them.

use std::collections::BTreeSet;

use crate::{settings, sources};

fn unit(name: &str) -> String {
    sources::read(&format!("deploy/systemd/vpnmanager-{name}.service"))
}

/// What stands behind each line of this key.
fn values<'a>(unit: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
    unit.lines()
        .filter_map(move |line| line.strip_prefix(key)?.strip_prefix('='))
}

/// The names of the credentials that units are given.
fn credentials(units: &[&str]) -> BTreeSet<String> {
    let given = units.iter().flat_map(|name| {
        let unit = unit(name);
        let names = values(&unit, "LoadCredential").filter_map(|value| Some(value.split_once(':')?.0.to_owned()));
        names.collect::<Vec<_>>()
    });
    given.collect()
}

/// A secret that a program reads and no unit has a file for would have to stand in the settings.
#[test]
fn each_secret_of_a_program_is_a_credential_of_its_unit() {
    let mut secrets = settings::secret_flags("services/management/src");
    secrets.insert("backup-passphrase".to_owned());
    assert_eq!(credentials(&["management", "backup"]), secrets);
    assert_eq!(
        credentials(&["endnode"]),
        settings::secret_flags("services/endnode/src")
    );
}

/// systemd starts no unit whose credential is missing, unless there is something to take its place.
#[test]
fn a_credential_that_an_operator_need_not_have_has_an_empty_one_in_its_place() {
    for name in ["management", "endnode", "backup"] {
        let unit = unit(name);
        let empty: Vec<&str> = values(&unit, "SetCredential")
            .filter_map(|value| value.strip_suffix(":\\n"))
            .collect();
        for credential in credentials(&[name]).iter().filter(|name| *name != "backup-passphrase") {
            assert!(empty.contains(&credential.as_str()), "{name}: {credential}");
        }
    }
}

#[test]
fn a_restart_of_the_agent_leaves_openvpn_and_what_it_uses() {
    let unit = unit("endnode");
    for line in [
        "KillMode=process",
        "RuntimeDirectory=vpnmanager",
        "RuntimeDirectoryPreserve=yes",
        "OOMPolicy=continue",
    ] {
        assert!(unit.lines().any(|found| found == line), "{line}");
    }
    // It starts OpenVPN and signals it: a script of the package that did so too would end tunnels.
    for script in ["postinst", "prerm"] {
        let script = sources::read(&format!("deploy/packages/endnode/{script}"));
        assert!(
            !script.contains("kill") && !script.contains("openvpn.service"),
            "{script}"
        );
    }
}

#[test]
fn the_units_run_what_the_packages_install() {
    for program in ["management", "endnode"] {
        let path = format!("/opt/vpnmanager/bin/vpnmanager-{program}");
        assert_eq!(values(&unit(program), "ExecStart").collect::<Vec<_>>(), [path.as_str()]);
        let manifest = sources::read(&format!("services/{program}/Cargo.toml"));
        let asset = format!("[\"target/release/vpnmanager-{program}\", \"opt/vpnmanager/bin/\", \"755\"]");
        assert!(manifest.contains(&asset), "{program}");
    }
}
