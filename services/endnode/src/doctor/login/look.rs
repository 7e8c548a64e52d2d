//! The two checks: the login, and what follows from it.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use vpnmanager_runtime::doctor::{Check, Seen, Trouble, Verdict};

use super::{
    client::{self, Ended},
    profile::{Probe, Remote},
    tunnel,
};
use crate::config::Config;

pub(in crate::doctor) const LOGIN: Check = Check::new("login", "A profile logs in at each server that it names")
    .after(&["configuration"])
    .within(Duration::from_secs(300));
pub(in crate::doctor) const PING: Check =
    Check::new("tunnel", "The server answers through the tunnel").after(&["login"]);

/// So long servers are tried: then there is time for the last of them to be silent before the deadline.
const BEGUN_WITHIN: Duration = Duration::from_secs(240);

/// Makes a user for it, and the file.
const MAKE: &str = "vpnmanager users create doctor-probe --wait && vpnmanager users profile doctor-probe --file doctor-probe.ovpn && \
                    sudo vpnmanager-endnode doctor --profile doctor-probe.ovpn";

/// Logs in at each server. Gives what the pings showed.
pub(in crate::doctor) async fn look(config: &Config, profile: Option<PathBuf>) -> Seen<Vec<(String, Verdict)>> {
    let Some(file) = profile else {
        return Seen::skipped_until(
            "no profile was given: take that of a user who is there for this alone",
            MAKE,
        );
    };
    let shown = file.display();
    if !rustix::process::geteuid().is_root() {
        let mend = format!("sudo vpnmanager-endnode doctor --profile {shown}");
        return Seen::skipped_until("only root may make a tunnel", mend);
    }
    let probe = match fs::read_to_string(&file) {
        Ok(text) => Probe::read(&text),
        Err(error) => {
            return Seen::failed(Trouble::new(
                format!("the profile {shown} cannot be read: {error}"),
                "it is not there, or not for this account",
                format!("ls -l {shown}"),
            ));
        }
    };
    if probe.remotes().is_empty() {
        return Seen::failed(Trouble::new(
            format!("{shown} is no profile"),
            "it names no server (remote)",
            format!("grep -c ^remote {shown}"),
        ));
    }
    let (mut logins, mut pings) = (Vec::new(), Vec::new());
    let began = Instant::now();
    for remote in probe.remotes() {
        if began.elapsed() > BEGUN_WITHIN {
            let why = "those before it took all the time that there is".to_owned();
            logins.push((remote.to_string(), Verdict::Skipped { why, mend: None }));
            continue;
        }
        let (login, ping) = try_one(config, &probe, remote).await;
        logins.push((remote.to_string(), login));
        pings.extend(ping.map(|ping| (remote.to_string(), ping)));
    }
    Seen::each_with(logins, pings)
}

/// The login at one server, and the ping if there was one.
async fn try_one(config: &Config, probe: &Probe, remote: &Remote) -> (Verdict, Option<Verdict>) {
    let connected = match client::connect(&config.openvpn.binary, &probe.conf_for(remote)).await {
        Ok(connected) => connected,
        Err(ended) => return (refused(&ended), None),
    };
    let took = connected.took;
    let login = Verdict::Fine(format!("it is let in within {took:.1?}"));
    let ping = tunnel::ping(&connected).await;
    connected.end().await;
    tunnel::clear().await;
    (login, Some(ping))
}

fn refused(ended: &Ended) -> Verdict {
    let (found, why, mend) = match ended {
        Ended::Refused => (
            "the server refuses the credential",
            "it is not on the allow-list: the user is suspended or removed, or has not arrived here",
            "vpnmanager users show doctor-probe",
        ),
        Ended::Silent(last) => (
            "the server does not answer",
            last.as_str(),
            "vpnmanager-endnode doctor; nft list ruleset | grep -n drop",
        ),
        Ended::Failed(last) => ("the client ended", last.as_str(), "openvpn --version"),
    };
    Verdict::Failed(Trouble::new(found, why, mend))
}
