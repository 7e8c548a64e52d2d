//! Lines that OpenVPN refuses: options that a release removed, and words after the last one that an option takes.

use vpnmanager_openvpn_conf::Directives;

use super::finding::{Finding, error, warning};

/// "Unsupported options" of the manual, and the release from which on OpenVPN does not start with them.
const REMOVED: [(&str, &str); 14] = [
    ("tls-remote", "2.4"),
    ("mtu-dynamic", "2.4"),
    ("compat-names", "2.5"),
    ("no-name-remapping", "2.5"),
    ("ifconfig-pool-linear", "2.5"),
    ("no-iv", "2.5"),
    ("key-method", "2.6"),
    ("keysize", "2.6"),
    ("ncp-disable", "2.6"),
    ("inetd", "2.6"),
    ("management-client-pf", "2.6"),
    // Releases before it warn.
    ("no-replay", NEXT),
    ("opt-verify", NEXT),
    ("memstats", NEXT),
];
/// A release that is not everywhere yet.
const NEXT: &str = "2.7";

/// The most parameters of options that servers have. OpenVPN refuses a line with more.
const PARAMETERS: [(&str, usize); 61] = [
    ("auth", 1),
    ("auth-user-pass-optional", 0),
    ("auth-user-pass-verify", 2),
    ("ca", 1),
    ("ccd-exclusive", 0),
    ("cert", 1),
    ("chroot", 1),
    ("cipher", 1),
    ("client-config-dir", 1),
    ("client-connect", 1),
    ("client-disconnect", 1),
    ("client-to-client", 0),
    ("comp-lzo", 1),
    ("compress", 1),
    ("connect-freq", 2),
    ("crl-verify", 2),
    ("daemon", 1),
    ("data-ciphers", 1),
    ("dev", 1),
    ("dev-type", 1),
    ("dh", 1),
    ("duplicate-cn", 0),
    ("ecdh-curve", 1),
    ("explicit-exit-notify", 1),
    ("float", 0),
    ("group", 1),
    ("hand-window", 1),
    ("ifconfig-pool-persist", 2),
    ("keepalive", 2),
    ("key", 1),
    ("log", 1),
    ("log-append", 1),
    ("lport", 1),
    ("management", 3),
    ("management-client-auth", 0),
    ("management-client-group", 1),
    ("management-client-user", 1),
    ("management-hold", 0),
    ("max-clients", 1),
    ("mode", 1),
    ("mute", 1),
    ("persist-key", 0),
    ("persist-tun", 0),
    ("port", 1),
    ("proto", 1),
    ("push", 1),
    ("remote-cert-tls", 1),
    ("script-security", 1),
    ("server", 3),
    ("status", 2),
    ("tls-auth", 2),
    ("tls-crypt", 2),
    ("tls-crypt-v2", 2),
    ("tls-server", 0),
    ("topology", 1),
    ("tran-window", 1),
    ("user", 1),
    ("username-as-common-name", 0),
    ("verb", 1),
    ("verify-client-cert", 1),
    ("writepid", 1),
];

/// Options of `ignore-unknown-option`, and lines after `setenv opt`, are skipped where OpenVPN does not take them.
pub(super) fn check_parameters(conf: &Directives, findings: &mut Vec<Finding>) {
    let is_forgiven = |name: &str| {
        conf.each("ignore-unknown-option")
            .any(|names| names.iter().any(|it| it == name))
    };
    for (name, release) in REMOVED
        .iter()
        .filter(|(name, _)| conf.has_strictly(name) && !is_forgiven(name))
    {
        let finding = if *release == NEXT { warning } else { error };
        findings.push(finding(format!(
            "remove `{name}`: OpenVPN {release} and newer do not start with it"
        )));
    }
    for (name, most) in PARAMETERS.iter().filter(|(name, _)| !is_forgiven(name)) {
        if let Some(line) = conf.strict_lines(name).find(|line| line.len() > most + 1) {
            findings.push(error(format!(
                "write `{}`: OpenVPN does not start with what follows in `{}`",
                line.get(..=*most).unwrap_or_default().join(" "),
                line.join(" ")
            )));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, process::Command};

    use vpnmanager_testbed::binaries;

    use super::*;

    /// What OpenVPN says of a file with this line, and with one behind it that every release refuses.
    fn says(openvpn: &std::path::Path, line: &str) -> String {
        let dir = tempfile::tempdir().expect("a folder");
        fs::write(dir.path().join("c"), format!("{line}\nserver-bridge a b c d e f g h\n")).expect("written");
        let said = Command::new(openvpn)
            .args(["--config", "c"])
            .current_dir(dir.path())
            .output()
            .expect("openvpn");
        String::from_utf8_lossy(&said.stdout).into_owned()
    }

    #[test]
    fn the_real_openvpn_takes_as_many_parameters_and_no_more() {
        let Ok(openvpn) = binaries::openvpn() else {
            eprintln!("SKIPPED: there is no OpenVPN");
            return;
        };
        for (name, most) in PARAMETERS {
            let line = |count: usize| format!("{name}{}", " 1".repeat(count));
            let is_refused = |said: &str| {
                said.contains(&format!("extra parameter(s) in c:1: {name} "))
                    || said.contains("directive should have at most")
            };
            let (more, said) = (line(most + 1), says(&openvpn, &line(most + 1)));
            assert!(is_refused(&said), "{more}: {said}");
            // The last parameter of this one is a word of its own.
            let fits = if name == "crl-verify" {
                "crl-verify 1 dir".to_owned()
            } else {
                line(most)
            };
            let said = says(&openvpn, &fits);
            assert!(!is_refused(&said), "{fits}: {said}");
        }
    }

    #[test]
    fn the_real_openvpn_does_not_start_with_what_its_release_removed() {
        let Ok(openvpn) = binaries::openvpn() else {
            eprintln!("SKIPPED: there is no OpenVPN");
            return;
        };
        let version = Command::new(&openvpn).arg("--version").output().expect("openvpn");
        let version = String::from_utf8_lossy(&version.stdout).into_owned();
        let release = version
            .split(' ')
            .nth(1)
            .and_then(|text| text.get(..3))
            .expect("a release");
        for (name, since) in REMOVED.iter().filter(|(_, since)| *since <= release) {
            let parameters = if *name == "mtu-dynamic" { " 1 2" } else { "" };
            let said = says(&openvpn, &format!("{name}{parameters}"));
            assert!(
                !said.contains("c:2: server-bridge"),
                "{name}, gone since {since}: {said}"
            );
        }
    }
}
