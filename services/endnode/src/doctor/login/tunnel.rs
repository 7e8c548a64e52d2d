//! The client's end of the tunnel, in a network namespace of its own.

use std::{net::Ipv4Addr, path::Path, process::Stdio};

use vpnmanager_runtime::doctor::{Trouble, Verdict};

use super::{client::Connected, profile::DEVICE, pushed::Pushed};
use crate::programs::bare_command;

/// What is sent to the server.
const PINGS: &str = "3";
/// What ping says of itself at its end, whatever came back.
const SENT: &str = "packets transmitted";

/// Moves the tunnel into a namespace, and pings the server's address in it.
pub(super) async fn ping(connected: &Connected) -> Verdict {
    let Some(pushed) = connected.pushed else {
        return Verdict::Skipped {
            why: "the server told the client no address of its own (topology subnet)".to_owned(),
            mend: None,
        };
    };
    match ping_in(&namespace(), pushed).await {
        Ok(()) => Verdict::Fine(format!("{} answers", pushed.server)),
        Err(step) => judge(pushed.server, &step),
    }
}

/// Only ping itself can tell that nothing comes back. A container may have no right to make a namespace, and a machine no ping.
fn judge(server: Ipv4Addr, step: &Step) -> Verdict {
    let Step { line, said } = step;
    let why = format!("{line}: {said}");
    if !said.contains(SENT) {
        let is_missing = said.contains("No such file");
        let mend = is_missing.then(|| "apt-get install iproute2 iputils-ping".to_owned());
        return Verdict::Skipped { why, mend };
    }
    Verdict::Failed(Trouble::new(
        format!("{server} does not answer through the tunnel"),
        why,
        "nft list ruleset; ip -brief address; sysctl net.ipv4.icmp_echo_ignore_all",
    ))
}

/// Removes the namespace, once the client has ended.
pub(super) async fn clear() {
    // It may not have come into being.
    _ = run("ip", &["netns", "del", &namespace()]).await;
}

fn namespace() -> String {
    format!("vpndoctor{}", std::process::id())
}

/// A command that failed.
struct Step {
    line: String,
    said: String,
}

async fn ping_in(namespace: &str, pushed: Pushed) -> Result<(), Step> {
    let Pushed { own, prefix, server } = pushed;
    let (own, server) = (format!("{own}/{prefix}"), server.to_string());
    run("ip", &["netns", "add", namespace]).await?;
    run("ip", &["link", "set", DEVICE, "netns", namespace]).await?;
    run("ip", &["-n", namespace, "address", "add", &own, "dev", DEVICE]).await?;
    run("ip", &["-n", namespace, "link", "set", DEVICE, "up"]).await?;
    let ping = [
        "netns", "exec", namespace, "ping", "-n", "-q", "-c", PINGS, "-i", "0.3", "-W", "2", &server,
    ];
    run("ip", &ping).await
}

async fn run(program: &str, arguments: &[&str]) -> Result<(), Step> {
    let failed = |said: String| Step {
        line: format!("{program} {}", arguments.join(" ")),
        said,
    };
    let mut command = bare_command(Path::new(program));
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    // ping says on its standard output that nothing came back.
    let said = [output.stderr, output.stdout].concat();
    Err(failed(String::from_utf8_lossy(&said).trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tunnel_that_could_not_be_tried_is_not_called_broken() {
        let judged = |said: &str| {
            let (line, said) = ("ip netns".to_owned(), said.to_owned());
            judge(Ipv4Addr::new(10, 8, 0, 1), &Step { line, said })
        };
        let silent = judged("3 packets transmitted, 0 received, 100% packet loss, time 612ms");
        assert!(matches!(silent, Verdict::Failed(trouble) if trouble.found.starts_with("10.8.0.1 does not answer")));
        for untried in [
            "mount --make-shared /run/netns failed: Operation not permitted",
            "exec of \"ping\" failed: No such file or directory",
        ] {
            assert!(matches!(judged(untried), Verdict::Skipped { .. }), "{untried}");
        }
    }
}
