//! The profile: the `.ovpn` file that a user imports.
//!
//! It lists every node of the user in order. A client that loses its node tries it once more and then the next one, within
//! seconds because of the short timeouts.

use std::fmt;

use aws_lc_rs::digest;
use data_encoding::HEXLOWER;
use secrecy::{ExposeSecret, SecretString};
use vpnmanager_nats::{
    commands::{Protocol, Remote},
    network::Mtu,
};

use crate::{
    directive::ClientDirective,
    fleet_name::FleetName,
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

/// What a profile says besides.
#[derive(Debug, Clone, Copy, Default)]
pub struct Extras<'a> {
    /// What clients show for it; `None`: they show where it leads to.
    pub fleet_name: Option<&'a FleetName>,
    /// Extra directives, of which no two clash. They take the place of what a profile says itself of the same.
    pub directives: &'a [ClientDirective],
    /// The largest packet in the tunnel; `None`: the profile says nothing of it, and clients take 1500 bytes, or what a server pushes.
    pub mtu: Option<Mtu>,
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
        Self::render_with(parts, &Extras::default())
    }

    /// The same with what it says besides.
    pub fn render_with(parts: &ProfileParts<'_>, extras: &Extras<'_>) -> Result<Self, ProfileError> {
        let mut text = String::from("client\ndev tun\n");
        text.push_str(&remotes(parts.remotes)?);
        text.push_str("nobind\nresolv-retry infinite\n");
        text.push_str(&extras.instead_of(ClientDirective::OWN_POLL_TIMEOUT));
        text.push_str("hand-window 10\n");
        text.push_str(&extras.instead_of(ClientDirective::OWN_RETRY));
        text.push_str("remote-cert-tls server\n");
        text.push_str(&format!(
            "verify-x509-name {} name-prefix\n",
            prefix(parts.server_name_prefix)?
        ));
        text.push_str(
            "tls-version-min 1.2\n\
             data-ciphers AES-256-GCM:CHACHA20-POLY1305\n\
             auth SHA256\n",
        );
        // OpenVPN refuses it beside a remote of TCP: servers push it to clients that came over UDP.
        if parts.remotes.iter().all(|remote| remote.protocol == Protocol::Udp) {
            text.push_str("explicit-exit-notify 1\n");
        }
        text.push_str("persist-key\n");
        text.push_str(&extras.instead_of(ClientDirective::OWN_VERB));
        text.push_str(&extras.added());
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

impl Extras<'_> {
    /// The line of a directive in the place of what the profile says itself.
    fn instead_of(&self, own: ClientDirective) -> String {
        let said = self.directives.iter().find(|directive| directive.clashes_with(&own));
        said.unwrap_or(&own).lines()
    }

    /// The lines of which the profile says nothing itself.
    fn added(&self) -> String {
        const OWN: [ClientDirective; 3] = [
            ClientDirective::OWN_POLL_TIMEOUT,
            ClientDirective::OWN_RETRY,
            ClientDirective::OWN_VERB,
        ];
        let added = self
            .directives
            .iter()
            .filter(|directive| !OWN.iter().any(|own| own.clashes_with(directive)));
        let mut lines: String = added.map(|directive| directive.lines()).collect();
        lines.push_str(&self.mtu.map(mtu_lines).unwrap_or_default());
        match self.fleet_name {
            // OpenVPN 3 shows it (cliopthelper.hpp); to OpenVPN 2 it is a variable for scripts, of which a profile has none.
            Some(name) => format!("{lines}setenv FRIENDLY_NAME \"{name}\"\n"),
            None => lines,
        }
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

/// OpenVPN 2.5 takes the MTU from a profile alone. Later clients take it from a server too, and the last one that is pushed wins: a server of
/// OpenVPN 2.6 pushes its own, 1500, behind everything else (`prepare_push_reply` of its push.c, to clients that say `IV_MTU`). So they leave
/// that one out. The MTU that the pool pushes before it is taken, unless it is 1500 as well.
fn mtu_lines(mtu: Mtu) -> String {
    format!("tun-mtu {mtu}\npull-filter ignore \"tun-mtu {}\"\n", Mtu::USUAL)
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
#[path = "profile_tests.rs"]
mod tests;
