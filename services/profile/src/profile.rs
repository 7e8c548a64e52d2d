//! The profile: the `.ovpn` file that a user imports.
//!
//! It lists every node of the user in order. A client that loses its node tries it once more and then the next one, within
//! seconds because of the short timeouts.

use std::fmt;

use aws_lc_rs::digest;
use data_encoding::HEXLOWER;
use secrecy::{ExposeSecret, SecretString};
use vpnmanager_nats::commands::{Protocol, Remote};

use crate::{
    parts::{CERTIFICATE, PRIVATE_KEY},
    pem::{self, InvalidPem},
    tls_crypt_v2::CLIENT_LABEL,
};

/// What a profile is made of.
#[derive(Debug)]
pub struct ProfileParts<'a> {
    /// Where clients connect, in this order. At least one.
    pub remotes: &'a [Remote],
    /// What the common name of every node's certificate begins with.
    pub server_name_prefix: &'a str,
    /// The fleet's certificate authority, PEM.
    pub ca: &'a str,
    /// The credential's certificate, PEM.
    pub certificate: &'a str,
    /// Its private key, PEM.
    pub key: &'a SecretString,
    /// Its tls-crypt-v2 client key, PEM.
    pub tls_crypt_v2: &'a SecretString,
}

/// A whole profile. It holds a private key, so only [`Self::expose`] shows it.
#[derive(Clone)]
pub struct Profile(SecretString);

/// A profile could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// Nowhere to connect.
    #[error("a profile needs at least one remote")]
    NoRemote,
    /// OpenVPN would refuse or misread it.
    #[error("the prefix of the servers' names must be 1 to 64 letters, digits, '.', '_' or '-'")]
    Prefix,
    /// A part is not the PEM it should be.
    #[error("the {part} is not usable")]
    Pem {
        /// Which part.
        part: &'static str,
        /// Why.
        #[source]
        source: InvalidPem,
    },
}

impl Profile {
    /// Puts a profile together. Every part is parsed and written anew, so that a part cannot carry other directives.
    pub fn render(parts: &ProfileParts<'_>) -> Result<Self, ProfileError> {
        let mut text = String::from("client\ndev tun\n");
        text.push_str(&remotes(parts.remotes)?);
        text.push_str(
            "nobind\n\
             resolv-retry infinite\n\
             server-poll-timeout 3\n\
             hand-window 10\n\
             connect-retry 1 10\n\
             remote-cert-tls server\n",
        );
        text.push_str(&format!(
            "verify-x509-name {} name-prefix\n",
            prefix(parts.server_name_prefix)?
        ));
        text.push_str(
            "tls-version-min 1.2\n\
             data-ciphers AES-256-GCM:CHACHA20-POLY1305\n\
             auth SHA256\n",
        );
        if parts.remotes.iter().all(|remote| remote.protocol == Protocol::Udp) {
            text.push_str("explicit-exit-notify 1\n");
        }
        text.push_str("persist-key\nverb 3\n");
        text.push_str(&inline("ca", "CA certificate", parts.ca, &[CERTIFICATE])?);
        text.push_str(&inline("cert", "certificate", parts.certificate, &[CERTIFICATE])?);
        let key_labels = [PRIVATE_KEY, "EC PRIVATE KEY"];
        text.push_str(&inline("key", "private key", parts.key.expose_secret(), &key_labels)?);
        text.push_str(&inline(
            "tls-crypt-v2",
            "tls-crypt-v2 key",
            parts.tls_crypt_v2.expose_secret(),
            &[CLIENT_LABEL],
        )?);
        Ok(Self(text.into()))
    }

    /// The text, with the private key in it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// SHA-256 of the text, lower-case hex.
    pub fn checksum(&self) -> String {
        sha256_hex(self.expose().as_bytes())
    }
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Profile([REDACTED])")
    }
}

/// Text that was rendered before and kept in the journal.
impl From<SecretString> for Profile {
    fn from(text: SecretString) -> Self {
        Self(text)
    }
}

/// SHA-256, lower-case hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// One protocol for all stands in a line of its own; mixed ones stand in each `remote`.
fn remotes(remotes: &[Remote]) -> Result<String, ProfileError> {
    let first = remotes.first().ok_or(ProfileError::NoRemote)?;
    let one_protocol = remotes.iter().all(|remote| remote.protocol == first.protocol);
    let mut text = if one_protocol {
        format!("proto {}\n", client_protocol(first.protocol))
    } else {
        String::new()
    };
    for Remote { host, port, protocol } in remotes {
        text.push_str(&format!("remote {host} {port}"));
        if !one_protocol {
            text.push_str(&format!(" {}", client_protocol(*protocol)));
        }
        text.push('\n');
    }
    Ok(text)
}

fn client_protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Udp => "udp",
        Protocol::Tcp => "tcp-client",
    }
}

fn prefix(text: &str) -> Result<&str, ProfileError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if (1..=64).contains(&text.len()) && text.bytes().all(plain) {
        Ok(text)
    } else {
        Err(ProfileError::Prefix)
    }
}

fn inline(tag: &str, part: &'static str, pem: &str, labels: &[&str]) -> Result<String, ProfileError> {
    let blocks = pem::parse(pem, labels).map_err(|source| ProfileError::Pem { part, source })?;
    let body: String = blocks.iter().map(|(label, bytes)| pem::render(label, bytes)).collect();
    Ok(format!("<{tag}>\n{body}</{tag}>\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(host: &str, protocol: Protocol) -> Remote {
        Remote {
            host: host.parse().expect("a valid host"),
            port: 1194,
            protocol,
        }
    }

    fn render(remotes: &[Remote], prefix: &str, ca: &str) -> Result<Profile, ProfileError> {
        Profile::render(&ProfileParts {
            remotes,
            server_name_prefix: prefix,
            ca,
            certificate: &pem::render(CERTIFICATE, b"certificate"),
            key: &pem::render(PRIVATE_KEY, b"key").into(),
            tls_crypt_v2: &pem::render(CLIENT_LABEL, b"tls-crypt-v2").into(),
        })
    }

    #[test]
    fn rendered_for_two_nodes() {
        let remotes = [
            remote("198.18.0.11", Protocol::Udp),
            remote("vpn2.example.com", Protocol::Udp),
        ];
        let profile = render(&remotes, "node.fleet-1.", &pem::render(CERTIFICATE, b"authority")).expect("a profile");
        insta::assert_snapshot!(profile.expose());
        assert_eq!(profile.checksum().len(), 64);
    }

    #[test]
    fn mixed_protocols_stand_in_each_remote_line() {
        let remotes = [remote("a.example", Protocol::Udp), remote("b.example", Protocol::Tcp)];
        let profile = render(&remotes, "node", &pem::render(CERTIFICATE, b"authority")).expect("a profile");
        assert!(
            profile
                .expose()
                .contains("remote a.example 1194 udp\nremote b.example 1194 tcp-client\n")
        );
        assert!(!profile.expose().contains("\nproto "));
        assert!(!profile.expose().contains("explicit-exit-notify"));
    }

    #[test]
    fn nothing_rides_along_with_a_certificate() {
        let ca = format!(
            "up /bin/evil\n{}</ca>\nup /bin/evil\n",
            pem::render(CERTIFICATE, b"authority")
        );
        let profile = render(&[remote("a.example", Protocol::Udp)], "node", &ca).expect("a profile");
        assert!(!profile.expose().contains("evil"));
    }

    #[test]
    fn bad_parts_are_refused() {
        let ca = pem::render(CERTIFICATE, b"authority");
        let remotes = [remote("a.example", Protocol::Udp)];
        assert!(matches!(render(&[], "node", &ca), Err(ProfileError::NoRemote)));
        assert!(matches!(
            render(&remotes, "node name-prefix\nup x", &ca),
            Err(ProfileError::Prefix)
        ));
        let key_as_ca = pem::render(PRIVATE_KEY, b"key");
        assert!(matches!(
            render(&remotes, "node", &key_as_ca),
            Err(ProfileError::Pem {
                part: "CA certificate",
                ..
            })
        ));
    }

    #[test]
    fn a_profile_shows_nothing_in_a_log() {
        let ca = pem::render(CERTIFICATE, b"authority");
        let profile = render(&[remote("a.example", Protocol::Udp)], "node", &ca).expect("a profile");
        assert_eq!(format!("{profile:?}"), "Profile([REDACTED])");
    }

    #[test]
    fn the_checksum_is_plain_sha256() {
        assert_eq!(
            sha256_hex(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
