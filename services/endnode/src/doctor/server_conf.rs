//! The configuration that OpenVPN runs with.

use std::{fs, path::Path};

use vpnmanager_runtime::doctor::{Check, Seen, Trouble};

use super::machine::NO_OPENVPN;
use crate::{
    backend_choice::{expected, plan},
    config::{Config, OpenvpnMode},
    enrolled::Enrolled,
    listening::ListenerNumber,
    openvpn::{
        lint::{Finding, Running, Severity, lint},
        process::ServerFiles,
    },
};

pub(super) const SERVER_CONF: Check =
    Check::new("server-conf", "OpenVPN has the configuration that the settings ask for").after(&["identity"]);

/// Compares the files of the agent with what it would write now, or checks that of the operator.
pub(super) async fn look((config, enrolled): (&Config, &Enrolled)) -> Seen {
    match config.openvpn.mode {
        OpenvpnMode::None => Seen::skipped(NO_OPENVPN),
        OpenvpnMode::Managed => managed(config, enrolled),
        OpenvpnMode::External => external(config, enrolled),
    }
}

fn managed(config: &Config, enrolled: &Enrolled) -> Seen {
    let planned = match plan(config, &enrolled.dir) {
        Ok(planned) => planned,
        Err(error) => {
            return Seen::failed(Trouble::new(
                "OpenVPN cannot be run with these settings",
                format!("{error:#}"),
                "${EDITOR:-vi} /etc/vpnmanager/endnode-config.json",
            ));
        }
    };
    for (number, server) in planned.servers.iter().enumerate() {
        let beside = ListenerNumber(number).beside(server.listener);
        let files = ServerFiles::of(&enrolled.dir.openvpn(), beside);
        let shown = files.conf.display();
        match fs::read_to_string(&files.conf) {
            Ok(text) if text == server.conf.render() => {}
            Ok(_) => {
                let trouble = Trouble::new(
                    format!("{shown} is not what the agent would write now"),
                    "OpenVPN was started before the settings or the release changed; the next start takes the new file",
                    format!("kill $(cat {})", files.pid.display()),
                );
                return Seen::warning(trouble, ());
            }
            Err(error) => {
                return Seen::failed(Trouble::new(
                    format!("{shown} cannot be read: {error}"),
                    "the agent writes it when it starts OpenVPN, which it has not done yet, or this account may not read it",
                    "journalctl -u vpnmanager-endnode -n 50",
                ));
            }
        }
    }
    Seen::fine(format!("{} files are as they must be", planned.servers.len()), ())
}

fn external(config: &Config, enrolled: &Enrolled) -> Seen {
    let Some(file) = &config.openvpn.conf_file else {
        return Seen::skipped("OPENVPN_CONF_FILE is not set: the server.conf of the operator is not known");
    };
    let expected = match expected(config, &enrolled.dir) {
        Ok((_, expected)) => expected,
        Err(error) => return Seen::skipped(format!("{error:#}")),
    };
    judge(file, lint(file, &expected, &Running::default()).findings)
}

fn judge(file: &Path, findings: Vec<Finding>) -> Seen {
    let is_wrong = findings.iter().any(|finding| finding.severity == Severity::Error);
    let shown = file.display();
    let Some(first) = findings.first() else {
        return Seen::fine(format!("{shown} is as it must be"), ());
    };
    let trouble = Trouble::new(
        format!("{} findings in {shown}", findings.len()),
        first.message.clone(),
        format!("${{EDITOR:-vi}} {shown}"),
    );
    let seen = match is_wrong {
        true => Seen::failed(trouble),
        false => Seen::warning(trouble, ()),
    };
    seen.with_details(findings.iter().map(ToString::to_string).collect())
}
