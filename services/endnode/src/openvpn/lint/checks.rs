//! The checks.

use std::path::Path;

use super::{
    directives::Directives,
    finding::{Finding, error, warning},
};

/// Checks a file against the allow-list folder and the management socket that the agent uses.
pub fn lint(conf_file: &Path, allow_dir: &Path, control_socket: &Path) -> Vec<Finding> {
    match std::fs::read_to_string(conf_file) {
        Ok(text) => {
            let base = conf_file.parent().unwrap_or(Path::new("/"));
            lint_text(&text, base, allow_dir, control_socket)
        }
        Err(reason) => vec![error(format!("cannot read {}: {reason}", conf_file.display()))],
    }
}

/// Checks the text of such a file. Relative paths in it start from `base`.
pub fn lint_text(text: &str, base: &Path, allow_dir: &Path, control_socket: &Path) -> Vec<Finding> {
    let conf = Directives::parse(text, base);
    let mut findings = Vec::new();
    check_who_gets_in(&conf, allow_dir, &mut findings);
    check_management(&conf, control_socket, &mut findings);
    check_cutting(&conf, &mut findings);
    check_comfort(&conf, &mut findings);
    findings
}

fn check_who_gets_in(conf: &Directives, allow_dir: &Path, findings: &mut Vec<Finding>) {
    if !conf.has("ccd-exclusive") {
        findings.push(error(
            "add `ccd-exclusive`: without it everybody with a certificate gets in",
        ));
    }
    match conf.path("client-config-dir") {
        Some(dir) if dir == allow_dir => {}
        Some(dir) => findings.push(error(format!(
            "set `client-config-dir {}`: it points to {}, which the agent does not keep",
            allow_dir.display(),
            dir.display()
        ))),
        None => findings.push(error(format!(
            "add `client-config-dir {}`: it is the allow-list",
            allow_dir.display()
        ))),
    }
    for directive in ["username-as-common-name", "client-cert-not-required"] {
        if conf.has(directive) {
            findings.push(error(format!(
                "remove `{directive}`: the allow-list goes by the certificate's common name"
            )));
        }
    }
    if let Some(mode) = conf.argument("verify-client-cert").filter(|mode| *mode != "require") {
        findings.push(error(format!(
            "set `verify-client-cert require`: with {mode} a client needs no certificate"
        )));
    }
    if conf.has("duplicate-cn") {
        findings.push(error(
            "remove `duplicate-cn`: one profile could be used by many at once",
        ));
    }
}

fn check_management(conf: &Directives, socket: &Path, findings: &mut Vec<Finding>) {
    let is_unix = conf.arguments("management").get(1).is_some_and(|kind| kind == "unix");
    match conf.path("management") {
        Some(path) if path == socket && is_unix => {}
        Some(_) | None => findings.push(error(format!(
            "set `management {} unix`: without it the agent can neither end sessions nor see them",
            socket.display()
        ))),
    }
    if conf.has("management-client-auth") {
        findings.push(error(
            "remove `management-client-auth`: everybody would be cut while the agent is away",
        ));
    }
    if conf.has("management-hold") {
        findings.push(error(
            "remove `management-hold`: OpenVPN would not start without the agent",
        ));
    }
}

fn check_cutting(conf: &Directives, findings: &mut Vec<Finding>) {
    let seconds = |directive, default| {
        conf.argument(directive)
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let (rekey, grace): (u64, u64) = (seconds("reneg-sec", 3600), seconds("tran-window", 3600));
    if rekey == 0 || rekey + grace > 3600 {
        findings.push(warning(
            "set `reneg-sec 600` and `tran-window 60`: their sum is how long a revoked session may live while the agent is away",
        ));
    }
    if conf.has("crl-verify") {
        findings.push(warning(
            "`crl-verify` is not kept by the agent, and locks everybody out when the list expires",
        ));
    }
}

/// In seconds, pushed to clients: after 7 s of silence and 3 s for one more try they reach their next node within 13 s.
const LONGEST_SILENCE: u64 = 8;

fn check_comfort(conf: &Directives, findings: &mut Vec<Finding>) {
    let silence = conf.arguments("keepalive").get(1).and_then(|text| text.parse().ok());
    if silence.is_none_or(|seconds: u64| seconds > LONGEST_SILENCE) {
        findings.push(warning(
            "set `keepalive 1 7`: clients then move to their next node within 13 s when this one dies",
        ));
    }
    let over_udp = conf.argument("proto").is_none_or(|proto| proto.starts_with("udp"));
    if over_udp && conf.argument("explicit-exit-notify") != Some("2") {
        findings.push(warning(
            "set `explicit-exit-notify 2`: clients then move to their next node at once when this one stops",
        ));
    }
    if conf
        .argument("verb")
        .and_then(|level| level.parse::<u32>().ok())
        .is_some_and(|level| level > 2)
    {
        findings.push(warning(
            "set `verb 2`: above it OpenVPN logs every question of the agent",
        ));
    }
    if conf.has("config") {
        findings.push(warning("files named by `config` are not checked"));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "
        # the operator's own
        port 1194
        proto udp
        client-config-dir allow   # relative to this file
        ccd-exclusive
        management \"/run/my vpn/m.sock\" unix
        keepalive 1 7
        explicit-exit-notify 2
        reneg-sec 600
        tran-window 60
        verb 2
        <ca>
        duplicate-cn
        </ca>
    ";

    fn findings(text: &str) -> Vec<Finding> {
        lint_text(
            text,
            Path::new("/etc/openvpn"),
            Path::new("/etc/openvpn/allow"),
            Path::new("/run/my vpn/m.sock"),
        )
    }

    #[test]
    fn nothing_is_said_about_a_good_file() {
        assert_eq!(findings(GOOD), []);
    }

    #[test]
    fn nothing_is_said_about_the_example_for_operators() {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/examples/server.conf");
        let allow_dir = Path::new("/var/lib/vpnmanager/endnode/allow");
        let socket = Path::new("/run/vpnmanager/node-1.sock");
        assert_eq!(lint(&example, allow_dir, socket), []);
    }

    #[test]
    fn each_needed_directive_is_missed() {
        let cases = [
            ("ccd-exclusive", "add `ccd-exclusive`"),
            ("client-config-dir", "add `client-config-dir /etc/openvpn/allow`"),
            ("management", "set `management /run/my vpn/m.sock unix`"),
            ("keepalive", "set `keepalive 1 7`"),
            ("explicit-exit-notify", "set `explicit-exit-notify 2`"),
            ("tran-window", "set `reneg-sec 600` and `tran-window 60`"),
        ];
        for (directive, expected) in cases {
            let text: String = GOOD
                .lines()
                .filter(|line| !line.trim().starts_with(directive))
                .map(|l| format!("{l}\n"))
                .collect();
            let found = findings(&text);
            assert_eq!(found.len(), 1, "without {directive}: {found:?}");
            assert!(found[0].message.starts_with(expected), "{found:?}");
        }
    }

    #[test]
    fn each_harmful_directive_is_found() {
        for directive in [
            "duplicate-cn",
            "management-client-auth",
            "management-hold",
            "username-as-common-name",
            "verify-client-cert none",
            "crl-verify crl.pem",
            "verb 4",
            "config more.conf",
            "client-config-dir /elsewhere",
            "management 127.0.0.1 7505",
            "explicit-exit-notify 1",
            "keepalive 10 60",
        ] {
            let found = findings(&format!("{GOOD}\n{directive}\n"));
            assert_eq!(found.len(), 1, "with {directive}: {found:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_stands_in_a_file_panics_nothing_and_what_keeps_others_out_is_missed(text in ".{0,200}", lines in "([a-z-]{1,12}[ \t]?[!-~]{0,12}\n){0,20}") {
            for text in [text, lines] {
                let found = findings(&text);
                let is_missed = found.iter().any(|finding| finding.message.starts_with("add `ccd-exclusive`"));
                prop_assert!(is_missed || text.contains("ccd-exclusive"), "{}", text);
            }
        }
    }

    #[test]
    fn over_tcp_no_exit_notification_is_asked_for() {
        let text = GOOD
            .replace("proto udp", "proto tcp-server")
            .replace("explicit-exit-notify 2", "");
        assert_eq!(findings(&text), []);
    }
}
