//! What was found in a source. Names are as they stand there: whether ours may be the same is decided by who imports them.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
    path::Path,
};

use chrono::{DateTime, Utc};
use ipnet::IpNet;
use vpnmanager_nats::{listeners::Listener, old_certificates::SerialNumber};

/// All that one source says of one server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// What kinds of source it was made of, such as `easy-rsa 3` or `SQLite`.
    pub kinds: Vec<String>,
    /// Everybody in it, in the order of the source. A name may be there twice.
    pub users: Vec<FoundUser>,
    /// Its certificate authority, if the source has one.
    pub authority: Option<FoundAuthority>,
    /// Its `server.conf`, if the source has one.
    pub server: Option<FoundServer>,
    /// What could not be read or is left out, in the order of the source. Nothing is left out silently.
    pub remarks: Vec<Remark>,
}

/// Where something stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct Place {
    /// The file, relative to the source.
    pub file: String,
    /// The line or the row in it, from 1 on; `None`: all of it.
    pub line: Option<u64>,
}

impl Place {
    /// A whole file.
    pub fn file(file: &Path) -> Self {
        Self {
            file: file.display().to_string(),
            line: None,
        }
    }

    /// A line or a row of a file, from 1 on.
    pub fn line(file: &Path, line: u64) -> Self {
        Self {
            line: Some(line),
            ..Self::file(file)
        }
    }

    /// What is to be said of it.
    pub(crate) fn remark(self, text: impl Into<String>) -> Remark {
        Remark {
            place: self,
            text: text.into(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        self.line.map_or(Ok(()), |line| write!(f, ":{line}"))
    }
}

/// What could not be read or carried over.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Remark {
    /// Where it stands.
    pub place: Place,
    /// What it is and why, one sentence for an operator. It never has a secret.
    pub text: String,
}

/// Somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundUser {
    /// The name, as it stands there.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// Whether the source lets her in.
    pub active: bool,
    /// When she was created.
    pub created_at: Option<DateTime<Utc>>,
    /// Until when she has access; `None`: for ever, or as long as her certificate is valid.
    pub expires_at: Option<DateTime<Utc>>,
    /// When she was last seen.
    pub last_access: Option<DateTime<Utc>>,
    /// Her certificates, oldest first.
    pub certificates: Vec<FoundCertificate>,
    /// What the server gives her alone, from its `client-config-dir`.
    pub client: Option<FoundClient>,
}

impl FoundUser {
    /// Somebody whom the source lets in, and of whom it says nothing else.
    #[must_use]
    pub fn new(name: String, place: Place) -> Self {
        Self {
            name,
            place,
            active: true,
            created_at: None,
            expires_at: None,
            last_access: None,
            certificates: Vec::new(),
            client: None,
        }
    }
}

/// A certificate of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundCertificate {
    /// Its common name, as it stands there.
    pub common_name: String,
    /// Its serial number.
    pub serial: SerialNumber,
    /// When it ends.
    pub not_after: DateTime<Utc>,
    /// Whether it was revoked.
    pub is_revoked: bool,
}

/// What `client-config-dir` says of one client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundClient {
    /// Her fixed address (`ifconfig-push`).
    pub address: Option<Ipv4Addr>,
    /// Networks behind her (`iroute`, `iroute-ipv6`).
    pub networks: Vec<IpNet>,
    /// What is pushed to her, as it stands there.
    pub pushed: Vec<String>,
}

/// A certificate authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundAuthority {
    /// Its name, for an operator.
    pub subject: String,
    /// When it ends. A source whose authority has ended is refused before anything is done.
    pub not_after: DateTime<Utc>,
    /// Serial numbers that it revoked without a name that the source knows: an index from which somebody deleted lines. A node that serves its
    /// certificates refuses these whatever their common names are.
    pub revoked_without_name: Vec<SerialNumber>,
}

/// What a `server.conf` says that matters to others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundServer {
    /// Where clients connect.
    pub listeners: Vec<Listener>,
    /// The networks of its clients (`server`, `server-ipv6`).
    pub networks: Vec<IpNet>,
    /// Routes that it pushes.
    pub routes: Vec<IpNet>,
    /// Whether it takes all traffic (`redirect-gateway`).
    pub takes_all_traffic: bool,
    /// DNS servers that it pushes.
    pub dns_servers: Vec<IpAddr>,
    /// Search domains that it pushes.
    pub dns_domains: Vec<String>,
    /// Whether its clients reach each other.
    pub client_to_client: bool,
    /// Whether one certificate may be connected several times at once (`duplicate-cn`).
    pub duplicate_cn: bool,
}
