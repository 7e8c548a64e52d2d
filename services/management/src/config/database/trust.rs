//! Which CA the certificate of PostgreSQL must come from.

use std::fs;
use std::path::{Path, PathBuf};

use vpnmanager_runtime::error_chain::chain;
use vpnmanager_runtime::tls::check_authorities;

use super::sslmode::SslMode;

/// What stands for the CAs that are known anyway, where a file could be named (PostgreSQL manual, libpq, `sslrootcert`).
const SYSTEM: &str = "system";

/// A CA that is given for one way to PostgreSQL, and the mode that decides whether it counts.
pub(super) struct Trust {
    pub(super) mode: SslMode,
    pub(super) ca: PathBuf,
    pub(super) names: Names,
}

/// What the two settings are called where they are given.
#[derive(Clone, Copy)]
pub(super) struct Names {
    pub(super) mode: &'static str,
    pub(super) ca: &'static str,
}

/// As variables.
pub(super) const VARIABLES: Names = Names {
    mode: "DB_SSLMODE",
    ca: "DB_SSLROOTCERT",
};

/// As parameters of a URL.
pub(super) const PARAMETERS: Names = Names {
    mode: "sslmode",
    ca: "sslrootcert",
};

/// Whether no file is named, but the CAs that are known anyway.
pub(super) fn is_system(ca: &Path) -> bool {
    ca == Path::new(SYSTEM)
}

impl Trust {
    /// Why it is not what whoever gave it thinks, or cannot be used. libpq takes `require` with a CA for `verify-ca`; the library here does
    /// not.
    pub(super) fn fault(&self) -> Option<String> {
        let (Names { mode, ca }, said) = (self.names, self.mode.as_str());
        if is_system(&self.ca) {
            // As in libpq: a public CA gives anybody a certificate, so the name in it must be compared.
            let is_full = self.mode == SslMode::VerifyFull;
            return (!is_full).then(|| {
                format!(
                    "{ca} is {SYSTEM} and {mode} is {said}: set {mode} to verify-full, the only mode that goes with it"
                )
            });
        }
        if !self.mode.verifies() {
            return Some(format!(
                "{mode} is {said}, with which no certificate is verified, so that {ca} would have no effect: set {mode} to verify-full, \
                 or to verify-ca where the certificate has another name than the host, or take {ca} out"
            ));
        }
        self.fault_of_file()
    }

    fn fault_of_file(&self) -> Option<String> {
        let (ca, file) = (self.names.ca, self.ca.display());
        match fs::read(&self.ca) {
            Err(error) => Some(format!("{ca} names {file}, which cannot be read: {error}")),
            Ok(content) => {
                let error = check_authorities(&content).err()?;
                Some(format!("{ca} names {file}, which is no file of CAs: {}", chain(&error)))
            }
        }
    }
}
