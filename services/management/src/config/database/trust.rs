//! Which CA the certificate of PostgreSQL must come from.

use std::path::PathBuf;

use super::sslmode::SslMode;

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

impl Trust {
    /// Why it is not what whoever gave it thinks. libpq takes `require` with a CA for `verify-ca`; the library here does not.
    pub(super) fn fault(&self) -> Option<String> {
        let Names { mode, ca } = self.names;
        (!self.mode.verifies()).then(|| {
            format!(
                "{mode} is {}, with which no certificate is verified, so that {ca} would have no effect: set {mode} to verify-full, or to \
                 verify-ca where the certificate has another name than the host, or take {ca} out",
                self.mode.as_str()
            )
        })
    }
}
