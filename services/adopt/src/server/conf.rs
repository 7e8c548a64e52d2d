//! One `server.conf`, and the files that it names.

use std::{
    io,
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};
use vpnmanager_openvpn_conf::{Directives, Source};

use crate::{
    error::ReadError,
    folder::{Folder, Listing},
    found::{Place, Remark},
    pki::{Authority, Certificate, List, Revocations, certificates_in},
};

/// The most bytes of a configuration. One with all keys inside has 20 KiB.
const MOST_BYTES: usize = 1 << 20;
/// What makes a server of it.
const SERVER: [&str; 3] = ["server", "server-ipv6", "server-bridge"];

/// It, as it is in the source.
#[derive(Debug)]
pub(crate) struct ServerConf {
    pub(crate) file: PathBuf,
    pub(crate) directives: Directives,
}

/// What an option names.
enum Named {
    /// Its bytes, and where they are.
    There(PathBuf, Vec<u8>),
    /// A file that is not in the source.
    Elsewhere(PathBuf),
}

impl ServerConf {
    /// Anything that OpenVPN would read: that it is of a server is asked next.
    pub(crate) fn read(folder: &Folder, file: &Path) -> Self {
        Self {
            file: file.to_owned(),
            directives: read_directives(folder, file),
        }
    }

    pub(crate) fn is_server(&self) -> bool {
        let conf = &self.directives;
        SERVER.iter().any(|name| conf.has(name)) || conf.argument("mode") == Some("server")
    }

    /// What is said of the file as a whole.
    pub(crate) fn remark(&self, text: impl Into<String>) -> Remark {
        Place::file(&self.file).remark(text)
    }

    /// The authority that it trusts, if its certificate is in the source.
    pub(crate) fn authority(&self, folder: &Folder, remarks: &mut Vec<Remark>) -> Result<Option<Authority>, ReadError> {
        match self.named(folder, "ca")? {
            Some(Named::There(file, bytes)) => Authority::read(&file, &bytes).map(Some),
            Some(Named::Elsewhere(path)) => {
                let text = format!(
                    "the certificate of the authority, {}, is not in the source",
                    path.display()
                );
                remarks.push(self.remark(text));
                Ok(None)
            }
            None => Ok(None),
        }
    }

    /// Its own certificate. The ones behind it are of authorities.
    pub(crate) fn certificate(
        &self,
        folder: &Folder,
        now: DateTime<Utc>,
        remarks: &mut Vec<Remark>,
    ) -> Result<Option<Certificate>, ReadError> {
        let Some(Named::There(file, bytes)) = self.named(folder, "cert")? else {
            return Ok(None);
        };
        let certificate = match certificates_in(&bytes) {
            Ok(mut found) => found.swap_remove(0),
            Err(bad) => {
                let text =
                    format!("the server's certificate cannot be read, and the server does not start with it: {bad}");
                remarks.push(Place::file(&file).remark(text));
                return Ok(None);
            }
        };
        if certificate.not_after <= now {
            remarks.push(Place::file(&file).remark(format!(
                "the server's certificate ended at {}: clients refuse it",
                certificate.not_after.to_rfc3339()
            )));
        }
        Ok(Some(certificate))
    }

    /// What its certificate is called where that is not in the source: scripts name the file after it.
    pub(crate) fn certificate_file_name(&self) -> Option<String> {
        let path = self.directives.path("cert")?;
        Some(path.file_stem()?.to_str()?.to_owned())
    }

    /// Nobody is there to type its passphrase when an agent starts the server.
    pub(crate) fn note_encrypted_key(&self, folder: &Folder, remarks: &mut Vec<Remark>) {
        // One that may not be read is not needed here.
        let Ok(Some(Named::There(file, bytes))) = self.named(folder, "key") else {
            return;
        };
        if String::from_utf8_lossy(&bytes).contains("ENCRYPTED") {
            let text = "the server's private key has a passphrase: an agent cannot start the server with it. \
                Take the passphrase off, such as by `openssl pkey`";
            remarks.push(Place::file(&file).remark(text));
        }
    }

    /// What it refuses (`crl-verify`).
    pub(crate) fn add_revocations(
        &self,
        folder: &Folder,
        listing: &Listing,
        circumstances: (Option<&Authority>, DateTime<Utc>),
        revocations: &mut Revocations,
    ) -> Result<(), ReadError> {
        let (authority, now) = circumstances;
        if self.directives.is_kind("crl-verify", "dir") {
            let named = self.directives.path("crl-verify");
            match named.and_then(|path| folder.find(&path)) {
                Some(path) => revocations.add_folder(listing.files(&path)),
                None => revocations
                    .remarks
                    .push(self.remark("the folder of `crl-verify` is not in the source")),
            }
            return Ok(());
        }
        match self.named(folder, "crl-verify")? {
            Some(Named::There(file, bytes)) => {
                let list = List {
                    file: &file,
                    bytes: &bytes,
                    is_of_server: true,
                };
                revocations.add_list(&list, authority, now);
            }
            Some(Named::Elsewhere(path)) => {
                let text = format!(
                    "the list of revoked certificates, {}, is not in the source",
                    path.display()
                );
                revocations.remarks.push(self.remark(text));
            }
            None => {}
        }
        Ok(())
    }

    /// The names that stand above the fingerprints of its clients. A script that works without an authority writes them there.
    pub(crate) fn names_of_fingerprints(&self) -> Vec<String> {
        let Some(Source::Inline(text)) = self.directives.source("peer-fingerprint") else {
            return Vec::new();
        };
        let names = text.lines().filter_map(|line| line.trim().strip_prefix('#'));
        let names = names.map(str::trim).filter(|name| !name.is_empty());
        names.map(str::to_owned).collect()
    }

    fn named(&self, folder: &Folder, option: &str) -> Result<Option<Named>, ReadError> {
        Ok(match self.directives.source(option) {
            Some(Source::Inline(text)) => Some(Named::There(self.file.clone(), text.into_bytes())),
            Some(Source::File(path)) => Some(match folder.find(&path) {
                Some(file) => {
                    let bytes = folder.read(&file)?;
                    Named::There(file, bytes)
                }
                None => Named::Elsewhere(path),
            }),
            None => None,
        })
    }
}

/// A file with the options of OpenVPN.
pub(super) fn read_directives(folder: &Folder, file: &Path) -> Directives {
    Directives::load(file, &|path| {
        let found = folder.find(path).ok_or(io::ErrorKind::NotFound)?;
        let bytes = match folder.read(&found) {
            Err(ReadError::Io { source, .. }) => return Err(source),
            Err(other) => return Err(io::Error::other(other.to_string())),
            Ok(bytes) => bytes,
        };
        if bytes.len() > MOST_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(bytes)
    })
}
