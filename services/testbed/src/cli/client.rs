//! `client`: runs an OpenVPN client in the foreground.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use clap::Args;
use tokio::process::Command;
use vpnmanager_testbed::{binaries, net::Namespace, process::Identity, stack::Stack};

use super::home::Home;
use crate::{interrupt::unless_interrupted, screen::say};

const STOP: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub(crate) struct Client {
    #[command(flatten)]
    home: Home,
    /// The profile, an .ovpn file
    profile: PathBuf,
    /// Name of the network namespace that is made for it
    #[arg(long, value_name = "NAME")]
    netns: Option<String>,
    /// The only port that it dials: 1194 is UDP, 443 is TCP. Without it the client takes the servers of the profile in their order
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
}

impl Client {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let profile = self.profile.canonicalize();
        let profile = profile.with_context(|| format!("cannot read the profile {}", self.profile.display()))?;
        let stack = Stack::attach(&self.home.dir()?)?;
        let narrowed = match self.port {
            Some(port) => {
                let text = fs::read_to_string(&profile);
                let text = text.with_context(|| format!("cannot read the profile {}", profile.display()))?;
                Some(stack.write_profile_at(&text, port)?)
            }
            None => None,
        };
        let namespace = stack.network()?.add_client(self.netns.as_deref()).await?;
        say(format_args!(
            "Client in netns {} with address {}. Ctrl-C ends it.",
            namespace.name, namespace.address
        ));
        let server = stack.state().inner_address(self.port);
        say(format_args!("Try:  ip netns exec {} ping {server}", namespace.name));
        let outcome = run_in_front(&namespace, narrowed.as_deref().unwrap_or(&profile)).await;
        namespace.delete().await;
        if let Some(file) = narrowed {
            // It holds a private key. What is left goes with the stack.
            let _ = fs::remove_file(file);
        }
        outcome
    }
}

async fn run_in_front(namespace: &Namespace, profile: &Path) -> anyhow::Result<()> {
    let mut command = Command::new("ip");
    command
        .args(["netns", "exec", &namespace.name])
        .arg(binaries::openvpn()?)
        .arg("--config")
        .arg(profile);
    // Its own process group: Ctrl-C reaches only this program, which then ends the client.
    let mut child = command.process_group(0).stdin(std::process::Stdio::null()).spawn()?;
    let pid = child.id().and_then(|pid| Identity::of(pid.cast_signed()).ok());
    match unless_interrupted(child.wait()).await {
        Ok(status) => match status? {
            status if status.success() => say("OpenVPN has ended: the server closed the session."),
            status => bail!("OpenVPN has ended ({status})"),
        },
        Err(_interrupted) => {
            if let Some(process) = pid {
                process.signal(rustix::process::Signal::TERM);
            }
            if tokio::time::timeout(STOP, child.wait()).await.is_err() {
                child.kill().await?;
            }
            say("Client ended.");
        }
    }
    Ok(())
}
