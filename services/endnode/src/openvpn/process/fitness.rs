//! Whether this machine can run a managed OpenVPN at all.

use std::{
    fs::{File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

use super::{daemon::check_version, error::StartError};

/// Where OpenVPN gets its tunnel device.
const TUNNEL_DEVICES: &str = "/dev/net/tun";

/// What keeps OpenVPN from running on this machine, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum UnfitError {
    /// The program is missing or too old.
    #[error(
        "OpenVPN cannot be used, so that this node does not enrol: install OpenVPN 2.5 or newer, or name it with OPENVPN_BINARY \
         (openvpn.binary). Where the agent is not to run OpenVPN, set OPENVPN_MODE to external or none"
    )]
    Program(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No tunnel device can be made.
    #[error(
        "{} cannot be opened, so that OpenVPN can make no tunnel and this node does not enrol: run the agent as root, load the module \
         (`modprobe tun`), and give a container the device and NET_ADMIN (`--device {} --cap-add NET_ADMIN`)", path.display(), path.display()
    )]
    Tunnel {
        /// The device.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Finds what would only show when OpenVPN is started: a join token need not be spent for that.
///
/// # Errors
/// [`UnfitError`] says what to do.
pub async fn check_machine(binary: &Path) -> Result<(), UnfitError> {
    check_program(binary).await?;
    check_tunnel_devices()
}

/// Whether the program is there, and new enough.
///
/// # Errors
/// [`UnfitError::Program`] with the cause.
pub async fn check_program(binary: &Path) -> Result<(), UnfitError> {
    let program = |error: StartError| UnfitError::Program(error.into());
    check_version(binary).await.map_err(program)
}

/// Whether tunnel devices can be had here.
///
/// # Errors
/// [`UnfitError::Tunnel`] with the cause.
pub fn check_tunnel_devices() -> Result<(), UnfitError> {
    // Opening it makes no device.
    open_device(Path::new(TUNNEL_DEVICES)).map(drop)
}

fn open_device(path: &Path) -> Result<File, UnfitError> {
    let opened = OpenOptions::new().read(true).write(true).open(path);
    opened.map_err(|source| UnfitError::Tunnel {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use vpnmanager_runtime::error_chain::chain;

    use super::*;

    #[test]
    fn a_missing_device_is_said_with_what_to_do() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = open_device(&folder.path().join("tun")).expect_err("no device");
        let text = chain(&error).to_string();
        assert!(
            text.contains("`modprobe tun`") && text.contains("No such file"),
            "{text}"
        );
    }
}
