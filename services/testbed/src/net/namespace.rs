//! A network namespace: one machine on the bridge.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
};

use super::ip::{IpError, ip, run};
use crate::process::{Identity, Spec};

/// A namespace with `eth0` on the bridge.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Namespace {
    /// Name, as `ip netns` knows it.
    pub name: String,
    /// Address of its `eth0`.
    pub address: Ipv4Addr,
    pub(super) bridge: String,
    pub(super) port: String,
}

impl Namespace {
    /// Pulls the cable: packets are lost without an error.
    pub async fn cut(&self) -> Result<(), IpError> {
        ip(&format!("-n {} link set {} nomaster", self.bridge, self.port))
            .await
            .map(drop)
    }

    /// Plugs in the cable again.
    pub async fn restore(&self) -> Result<(), IpError> {
        ip(&format!("-n {} link set {} master br0", self.bridge, self.port))
            .await
            .map(drop)
    }

    /// Runs one command line (split at blanks) inside, and returns what it printed.
    pub async fn run(&self, line: &str) -> Result<String, IpError> {
        run(&format!("ip netns exec {} {line}", self.name)).await
    }

    /// What a URL answers to a caller inside, within two seconds.
    pub async fn fetch(&self, url: &str) -> Result<String, IpError> {
        self.run(&format!(
            "curl --silent --show-error --fail --globoff --max-time 2 {url}"
        ))
        .await
    }

    /// Gives programs that are started inside from now on this resolver, as a client's script does with what a server pushes.
    pub async fn set_resolver(&self, server: IpAddr) -> std::io::Result<()> {
        let etc = self.etc().await?;
        tokio::fs::write(etc.join("resolv.conf"), format!("nameserver {server}\n")).await
    }

    /// Gives programs that are started inside from now on this folder as `/etc/<name>`, a folder that this machine must have too.
    pub async fn set_etc(&self, name: &str, folder: &Path) -> std::io::Result<()> {
        tokio::fs::symlink(folder, self.etc().await?.join(name)).await
    }

    /// What `ip netns exec` puts in the place of files and folders of `/etc`.
    async fn etc(&self) -> std::io::Result<PathBuf> {
        let folder = etc_of(&self.name);
        tokio::fs::create_dir_all(&folder).await?;
        Ok(folder)
    }

    /// A process to be started inside.
    #[must_use]
    pub fn spec(&self, name: &str, program: impl Into<PathBuf>, dir: &Path, log: &Path) -> Spec {
        Spec::new(name, program, dir, log).netns(Some(&self.name))
    }

    /// Ends every process inside and deletes it.
    pub async fn delete(&self) {
        delete(&self.name).await;
    }
}

/// Ends every process in a namespace and deletes it.
pub(super) async fn delete(name: &str) {
    let pids = ip(&format!("netns pids {name}")).await.unwrap_or_default();
    for pid in pids.split_whitespace().filter_map(|pid| pid.parse().ok()) {
        if let Ok(process) = Identity::of(pid) {
            process.kill().await;
        }
    }
    // Another process may have deleted it meanwhile, and few have files of their own.
    let _ = ip(&format!("netns del {name}")).await;
    let _ = tokio::fs::remove_dir_all(etc_of(name)).await;
}

fn etc_of(name: &str) -> PathBuf {
    Path::new("/etc/netns").join(name)
}
