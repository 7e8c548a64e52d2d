//! The folder of the authority: `ca.pem`, `ca.key`, `tls-crypt-v2.key`. The files are made once and never replaced.

use std::fs::{File, OpenOptions};
use std::path::Path;

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use secrecy::{ExposeSecret as _, SecretString};
use vpnmanager_profile::tls_crypt_v2::new_server_key;
use vpnmanager_runtime::secret_file::{self, SecretFileError};

use super::certificate;
use super::open_error::OpenPkiError;

const CA_CERTIFICATE: &str = "ca.pem";
const CA_KEY: &str = "ca.key";
const TLS_CRYPT_KEY: &str = "tls-crypt-v2.key";
const LOCK: &str = ".lock";

/// The files, for a backup.
pub(crate) const FILES: [&str; 3] = [CA_CERTIFICATE, CA_KEY, TLS_CRYPT_KEY];

/// The content of the files.
pub(super) struct Material {
    pub(super) ca_pem: String,
    pub(super) ca_key: SecretString,
    pub(super) tls_crypt_v2: SecretString,
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
        let missing: Vec<_> = [CA_KEY, TLS_CRYPT_KEY]
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
        Ok(Self {
            ca_pem: read(CA_CERTIFICATE)?.expose_secret().to_owned(),
            ca_key: read(CA_KEY)?,
            tls_crypt_v2: read(TLS_CRYPT_KEY)?,
        })
    }
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
    let key_path = dir.join(CA_KEY);
    let key = if key_path.exists() {
        KeyPair::from_pem(secret_file::read(&key_path)?.expose_secret()).map_err(rcgen_failed)?
    } else {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(rcgen_failed)?;
        secret_file::write(&key_path, key.serialize_pem())?;
        key
    };
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
