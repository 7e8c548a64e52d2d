//! The checks.

use std::path::Path;

use vpnmanager_nats::commands::Protocol;
use vpnmanager_openvpn_conf::{Directives, is_same_place, protocol_of};

use super::{
    accounts::{check_reach, check_socket_owner},
    expected::Expected,
    finding::{Finding, error, warning},
    forwarding::check_forwarding,
    keys::{check_dh, check_keys},
    parameters::check_parameters,
    pool_network::check_network,
    running::{Release, Running},
    traffic::check_traffic,
    way_in::check_way_in,
};

/// The limit on clients of an OpenVPN that was told none (`init_options` of its options.c).
const OWN_LIMIT: u32 = 1024;

/// What a check tells.
#[derive(Debug, Default)]
pub struct Checked {
    /// What should change.
    pub findings: Vec<Finding>,
    /// Places for clients, which handshakes that are not finished take too; `None` where OpenVPN may run with other files.
    pub places: Option<u32>,
}

/// Checks a file, and those that it includes, against what the agent and the users' profiles rely on, and what the OpenVPN that runs
/// with it takes. What that one's command line says counts too.
pub fn lint(conf_file: &Path, expected: &Expected, running: &Running) -> Checked {
    let read = Directives::read(conf_file);
    let mut alone = judge(&read, expected, running.release);
    let Some(command_line) = &running.command_line else {
        return Checked {
            findings: alone,
            places: Some(places_of(&read)),
        };
    };
    let Some(started) = Directives::started(conf_file, command_line.options()) else {
        alone.push(warning(format!(
            "whether OpenVPN runs with {} (OPENVPN_CONF_FILE) cannot be seen: its command line names other files",
            conf_file.display()
        )));
        return Checked {
            findings: alone,
            places: None,
        };
    };
    let blamed = |finding: Finding| Finding {
        message: format!(
            "{}. The cause is not in the file alone: OpenVPN was started with `{command_line}`. Take such options from its command line, and write into the file what you need of them",
            finding.message
        ),
        ..finding
    };
    let whole = judge(&started, expected, running.release).into_iter();
    let findings = whole.map(|finding| {
        if alone.contains(&finding) {
            finding
        } else {
            blamed(finding)
        }
    });
    Checked {
        findings: findings.collect(),
        places: Some(places_of(&started)),
    }
}

fn places_of(conf: &Directives) -> u32 {
    let limit = conf.argument("max-clients").and_then(|limit| limit.parse().ok());
    limit.unwrap_or(OWN_LIMIT)
}

fn judge(conf: &Directives, expected: &Expected, release: Option<Release>) -> Vec<Finding> {
    let refusals = conf.refusals.iter();
    let mut findings: Vec<Finding> = refusals
        .map(|reason| error(format!("OpenVPN does not start with this file: {reason}")))
        .collect();
    check_parameters(conf, &mut findings);
    check_who_gets_in(conf, &expected.allow_dir, &mut findings);
    check_reach(conf, &expected.allow_dir, &mut findings);
    check_management(conf, &expected.control_socket, &mut findings);
    check_way_in(conf, expected, &mut findings);
    check_keys(conf, expected, &mut findings);
    check_dh(conf, release, &mut findings);
    check_traffic(conf, expected.network.as_ref(), &mut findings);
    check_cutting(conf, &mut findings);
    check_handshakes(conf, &mut findings);
    check_exit_notice(conf, release, &mut findings);
    check_comfort(conf, &mut findings);
    // Last: nobody is kept out by what is missing of it.
    if let Some(network) = &expected.network {
        check_network(conf, network, &mut findings);
        check_forwarding(conf, network, &expected.sysctls, &mut findings);
    }
    findings
}

fn check_who_gets_in(conf: &Directives, allow_dir: &Path, findings: &mut Vec<Finding>) {
    if !conf.has("ccd-exclusive") {
        findings.push(error(
            "add `ccd-exclusive`: without it everybody with a certificate gets in",
        ));
    }
    match conf.path("client-config-dir") {
        Some(dir) if is_same_place(&dir, allow_dir) => {}
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
    let is_unix = conf.is_kind("management", "unix");
    match conf.path("management") {
        Some(path) if is_unix && is_same_place(&path, socket) => check_folder(socket, findings),
        Some(_) | None => findings.push(error(format!(
            "set `management {} unix`: without it the agent can neither end sessions nor see them",
            socket.display()
        ))),
    }
    if let Some(file) = conf.arguments("management").get(2) {
        findings.push(error(format!(
            "remove `{file}` from `management`: the agent has no password for the socket. `management-client-user` says who may open it"
        )));
    }
    check_socket_owner(conf, findings);
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

fn check_folder(socket: &Path, findings: &mut Vec<Finding>) {
    if let Some(folder) = socket.parent().filter(|folder| !folder.is_dir()) {
        findings.push(error(format!(
            "make the folder {} at each boot (systemd: `RuntimeDirectory=`, or a line in /etc/tmpfiles.d): without it OpenVPN does not start",
            folder.display()
        )));
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

/// In seconds; OpenVPN's own is 60.
const LONGEST_HANDSHAKE: u64 = 30;

fn check_handshakes(conf: &Directives, findings: &mut Vec<Finding>) {
    let window = conf.argument("hand-window").and_then(|text| text.parse().ok());
    if window.is_none_or(|seconds: u64| seconds > LONGEST_HANDSHAKE) {
        findings.push(warning(
            "set `hand-window 20`: a handshake that nobody finishes takes a place of `max-clients` for as long",
        ));
    }
}

/// Over TCP a client sees the end of its connection: OpenVPN from this release on ignores the option there, and earlier ones refuse it.
const IGNORES_EXIT_NOTICE: Release = Release::new(2, 6);

fn check_exit_notice(conf: &Directives, release: Option<Release>, findings: &mut Vec<Finding>) {
    let times = conf.argument("explicit-exit-notify");
    match protocol_of(conf) {
        Protocol::Udp if times != Some("2") => findings.push(warning(
            "set `explicit-exit-notify 2`: clients then move to their next node at once when this one stops",
        )),
        Protocol::Tcp if conf.has("explicit-exit-notify") && times != Some("0") => {
            let refuses = release.is_some_and(|release| release < IGNORES_EXIT_NOTICE);
            let finding = if refuses { error } else { warning };
            findings.push(finding(
                "remove `explicit-exit-notify`: over TCP OpenVPN 2.5 does not start because of it, and 2.6 and newer ignore it",
            ));
        }
        Protocol::Udp | Protocol::Tcp => {}
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
    if conf
        .argument("verb")
        .and_then(|level| level.parse::<u32>().ok())
        .is_some_and(|level| level > 1)
        || !conf.has("mute")
    {
        findings.push(warning(
            "set `verb 1` and `mute 20`: otherwise the packets of strangers make the log grow",
        ));
    }
}

#[cfg(test)]
mod tests;
