//! The folder of the authority: `ca.pem`, `ca.key`, `tls-crypt-v2.key`. The files are made once, and replaced only at the end of a rollover, until
//! which `next-ca.pem` and `next-ca.key` lie beside them. Afterwards `former-ca.pem` has the certificates that were replaced.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::Path;

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use secrecy::{ExposeSecret as _, SecretString};
use vpnmanager_profile::tls_crypt_v2::new_server_key;
use vpnmanager_runtime::secret_file::{self, SecretFileError};

use super::certificate;
use super::open_error::OpenPkiError;

/// The certificate of the authority.
pub(crate) const CA_CERTIFICATE: &str = "ca.pem";
const CA_KEY: &str = "ca.key";
const TLS_CRYPT_KEY: &str = "tls-crypt-v2.key";
const LOCK: &str = ".lock";
/// The authority that is to take the place of the first.
const NEXT_CERTIFICATE: &str = "next-ca.pem";
const NEXT_KEY: &str = "next-ca.key";
/// The certificates of those that were in the place of the first before, PEM: they signed checkpoints of the audit trail.
const FORMER_CERTIFICATES: &str = "former-ca.pem";
/// What the names of servers begin with, once that is not to be seen from `ca.pem` any more.
const NAME_PREFIX: &str = "server-name-prefix";

/// The files, for a backup.
pub(crate) const FILES: [&str; 7] = [
    CA_CERTIFICATE,
    CA_KEY,
    TLS_CRYPT_KEY,
    NEXT_CERTIFICATE,
    NEXT_KEY,
    FORMER_CERTIFICATES,
    NAME_PREFIX,
];

/// A certificate of an authority with its key, PEM.
pub(super) struct Pair {
    pub(super) pem: String,
    pub(super) key: SecretString,
}

/// The content of the files.
pub(super) struct Material {
    pub(super) ca_pem: String,
    pub(super) ca_key: SecretString,
    pub(super) tls_crypt_v2: SecretString,
    /// The next authority, while there is one.
    pub(super) next: Option<Pair>,
    /// The certificates of former authorities; empty where there was none.
    pub(super) former: String,
    /// What the names of servers begin with, where that was noted.
    pub(super) name_prefix: Option<String>,
}

impl Material {
    /// Reads the files under a lock, and makes them if the folder holds none.
    ///
    /// The certificate is written last. While it is missing nothing has been signed, so a creation that was interrupted is completed with the
    /// files that it left.
    pub(super) fn load_or_create(dir: &Path) -> Result<Self, OpenPkiError> {
        secret_file::create_dir(dir)?;
        let _lock = lock(dir)?;
        if !dir.join(CA_CERTIFICATE).exists() {
            create(dir)?;
        }
        Self::read(dir)
    }

    /// Reads the files as they are, without the lock, which would be a file of its own: makes and changes nothing.
    pub(super) fn read(dir: &Path) -> Result<Self, OpenPkiError> {
        let missing: Vec<_> = [CA_CERTIFICATE, CA_KEY, TLS_CRYPT_KEY]
            .into_iter()
            .filter(|name| !dir.join(name).exists())
            .collect();
        if !missing.is_empty() {
            return Err(OpenPkiError::Incomplete {
                dir: dir.to_owned(),
                missing,
            });
        }
        let read = |name| {
            secret_file::read(&dir.join(name)).map(|text| SecretString::from(format!("{}\n", text.expose_secret())))
        };
        let is_there = |name| dir.join(name).exists();
        let next = match is_there(NEXT_CERTIFICATE) {
            true => Some(Pair {
                pem: read(NEXT_CERTIFICATE)?.expose_secret().to_owned(),
                key: read(NEXT_KEY)?,
            }),
            false => None,
        };
        let former = match is_there(FORMER_CERTIFICATES) {
            true => read(FORMER_CERTIFICATES)?.expose_secret().to_owned(),
            false => String::new(),
        };
        let name_prefix = match is_there(NAME_PREFIX) {
            true => Some(read(NAME_PREFIX)?.expose_secret().trim().to_owned()),
            false => None,
        };
        Ok(Self {
            ca_pem: read(CA_CERTIFICATE)?.expose_secret().to_owned(),
            ca_key: read(CA_KEY)?,
            tls_crypt_v2: read(TLS_CRYPT_KEY)?,
            next,
            former,
            name_prefix,
        })
    }
}

/// Makes the next authority, unless there is one, and notes what the names of servers begin with: profiles that are given out check it.
///
/// The certificate is written last, as for the first authority.
pub(super) fn create_next(dir: &Path, name_prefix: &str) -> Result<(), OpenPkiError> {
    let _lock = lock(dir)?;
    if !dir.join(NAME_PREFIX).exists() {
        secret_file::write(&dir.join(NAME_PREFIX), name_prefix)?;
    }
    forget_leftover(dir)?;
    if dir.join(NEXT_CERTIFICATE).exists() {
        return Ok(());
    }
    let key = key_in(&dir.join(NEXT_KEY))?;
    let pem = certificate::new_ca(&key).map_err(|source| OpenPkiError::Certificate { source })?;
    Ok(secret_file::write(&dir.join(NEXT_CERTIFICATE), pem)?)
}

/// Removes a next authority that is the first one already: the folder was copied over one of before the end of a rollover.
fn forget_leftover(dir: &Path) -> Result<(), OpenPkiError> {
    let read = |name| Some(fs::read_to_string(dir.join(name)).ok()?.trim().to_owned());
    // The certificate first: without it there is no next authority, and the key is removed by the next run.
    for (next, first) in [(NEXT_CERTIFICATE, CA_CERTIFICATE), (NEXT_KEY, CA_KEY)] {
        let (left, path) = (read(next), dir.join(next));
        if left.is_some() && left == read(first) {
            fs::remove_file(&path).map_err(|source| SecretFileError::Write { path, source })?;
        }
    }
    Ok(())
}

/// Whether [`promote_next`] was interrupted between its two files.
pub(super) fn is_half_promoted(dir: &Path) -> bool {
    dir.join(NEXT_CERTIFICATE).exists() && !dir.join(NEXT_KEY).exists()
}

/// The certificates of all authorities that the folder knows of, PEM, those of before too. Needs no key.
pub(crate) fn all_certificates(dir: &Path) -> io::Result<String> {
    let mut all = String::new();
    for name in [CA_CERTIFICATE, NEXT_CERTIFICATE, FORMER_CERTIFICATES] {
        match fs::read_to_string(dir.join(name)) {
            Ok(text) => {
                all.push_str(text.trim_end());
                all.push('\n');
            }
            Err(error) if name != CA_CERTIFICATE && error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

/// Keeps the certificate of the first authority, which is about to be replaced.
fn keep_former(dir: &Path) -> Result<(), OpenPkiError> {
    let read = |name: &str| match dir.join(name).exists() {
        true => secret_file::read(&dir.join(name)).map(|text| text.expose_secret().trim().to_owned()),
        false => Ok(String::new()),
    };
    let (kept, first) = (read(FORMER_CERTIFICATES)?, read(CA_CERTIFICATE)?);
    if !kept.contains(&first) {
        let all = format!("{kept}\n{first}\n");
        secret_file::write(&dir.join(FORMER_CERTIFICATES), all.trim_start())?;
    }
    Ok(())
}

/// Makes the next authority the only one, and keeps the certificate of the one of before. A run that was interrupted is completed by the next one:
/// first the key, then the certificate, each in one step; in between the two files do not fit, and no replica starts.
pub(super) fn promote_next(dir: &Path) -> Result<(), OpenPkiError> {
    let _lock = lock(dir)?;
    if dir.join(NEXT_CERTIFICATE).exists() {
        keep_former(dir)?;
    }
    let moved = [(NEXT_KEY, CA_KEY), (NEXT_CERTIFICATE, CA_CERTIFICATE)];
    for (from, to) in moved.map(|(from, to)| (dir.join(from), dir.join(to))) {
        if from.exists() {
            fs::rename(&from, &to).map_err(|source| SecretFileError::Write { path: to, source })?;
        }
    }
    let synced = File::open(dir).and_then(|folder| folder.sync_all());
    synced.map_err(|source| SecretFileError::Write {
        path: dir.to_owned(),
        source,
    })?;
    Ok(())
}

/// The key in this file, made where there is none.
fn key_in(path: &Path) -> Result<KeyPair, OpenPkiError> {
    let failed = |source| OpenPkiError::Certificate { source };
    if path.exists() {
        return KeyPair::from_pem(secret_file::read(path)?.expose_secret()).map_err(failed);
    }
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
    secret_file::write(path, key.serialize_pem())?;
    Ok(key)
}

/// Takes the lock; it ends when the file is dropped or the process ends.
fn lock(dir: &Path) -> Result<File, OpenPkiError> {
    let path = dir.join(LOCK);
    let failed = |source| OpenPkiError::Lock {
        path: path.clone(),
        source,
    };
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .map_err(failed)?;
    file.lock().map_err(failed)?;
    Ok(file)
}

fn create(dir: &Path) -> Result<(), OpenPkiError> {
    let rcgen_failed = |source| OpenPkiError::Certificate { source };
    let key = key_in(&dir.join(CA_KEY))?;
    if !dir.join(TLS_CRYPT_KEY).exists() {
        secret_file::write(&dir.join(TLS_CRYPT_KEY), new_server_key().expose_secret())?;
    }
    secret_file::write(
        &dir.join(CA_CERTIFICATE),
        certificate::new_ca(&key).map_err(rcgen_failed)?,
    )?;
    // The files must be on the disk before anything is signed with them.
    let synced = File::open(dir).and_then(|folder| folder.sync_all());
    synced.map_err(|source| SecretFileError::Write {
        path: dir.to_owned(),
        source,
    })?;
    Ok(())
}
