//! The file of a profile, and what of it a client is given.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use super::error::ClientError;

/// The same profile with its servers at this port alone.
///
/// # Errors
/// [`ClientError::NoServer`] where it names none.
pub(crate) fn profile_at(profile: &str, port: u16) -> Result<String, ClientError> {
    // `remote HOST PORT PROTOCOL`; one that names no port has the usual one of OpenVPN.
    let is_other = |line: &str| {
        let mut words = line.split_whitespace();
        words.next() == Some("remote") && words.nth(1).unwrap_or("1194") != port.to_string()
    };
    let kept: Vec<&str> = profile.lines().filter(|line| !is_other(line)).collect();
    if kept.iter().any(|line| line.starts_with("remote ")) {
        Ok(kept.join("\n") + "\n")
    } else {
        Err(ClientError::NoServer { port })
    }
}

/// Writes a profile, which holds a private key, into a file that only its owner can read.
///
/// # Errors
/// [`ClientError::Profile`].
pub(crate) fn write_profile(file: &Path, text: &str) -> Result<(), ClientError> {
    write_private(file, text).map_err(|source| ClientError::Profile {
        file: file.display().to_string(),
        source,
    })
}

fn write_private(file: &Path, text: &str) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(file)?
        .write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_servers_at_the_port_are_left() {
        let profile = "client\nremote 198.18.7.11 1194 udp\nremote 198.18.7.12 1194 udp\nremote 198.18.7.11 443 tcp-client\nnobind\n";
        let left = profile_at(profile, 443).unwrap();
        assert_eq!(left, "client\nremote 198.18.7.11 443 tcp-client\nnobind\n");
        let error = profile_at(profile, 80).unwrap_err();
        assert_eq!(error.to_string(), "the profile names no server at port 80");
    }
}
