//! The settings of HTTPS that both services have.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use vpnmanager_runtime::config::{Cli, ConfigError, Setting};
use vpnmanager_runtime::loopback::is_loopback;

use super::files::PairFiles;

/// The settings of [`TlsConfig`], for a service's list of tables.
pub const SETTINGS: &[Setting] = &[
    Setting::new(
        "tls.cert_file",
        "TLS_CERT_FILE",
        "The certificate of HTTPS, and those that lead from it to its CA",
        "a file in PEM; TLS_KEY_FILE goes with it",
    ),
    Setting::new(
        "tls.key_file",
        "TLS_KEY_FILE",
        "The key of that certificate",
        "a file in PEM; TLS_CERT_FILE goes with it",
    ),
    Setting::new(
        "tls.allow_plain_http",
        "ALLOW_PLAIN_HTTP",
        "Whether HTTP in the clear may leave this machine, as to a proxy that speaks HTTPS",
        "true or false",
    )
    .default("false"),
];

/// The `tls` section of a service's configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsConfig {
    /// TLS_CERT_FILE: without it HTTPS is served only where the service has another certificate.
    pub cert_file: Option<PathBuf>,
    /// TLS_KEY_FILE: with `cert_file`, and only with it.
    pub key_file: Option<PathBuf>,
    /// ALLOW_PLAIN_HTTP: HTTP in the clear is served on addresses that other machines reach, too.
    pub allow_plain_http: bool,
}

impl TlsConfig {
    /// The files of the certificate, where they are named.
    #[must_use]
    pub fn files(&self) -> Option<PairFiles> {
        Some(PairFiles {
            certificate: self.cert_file.clone()?,
            key: self.key_file.clone()?,
        })
    }

    /// Checks that both files are named or none, and that what would be served in the clear is for this machine alone, or allowed by name.
    /// `makes_its_own`: the service has a certificate without these files. `ways` says what else can be done than to name them, and ends with a space.
    ///
    /// # Errors
    /// Names the setting that is missing.
    pub fn check<S>(
        &self,
        cli: &Cli<S>,
        listen: &[String],
        makes_its_own: bool,
        ways: &str,
    ) -> Result<(), ConfigError> {
        match (&self.cert_file, &self.key_file) {
            (Some(_), None) => return Err(cli.reject("tls.key_file", "TLS_CERT_FILE is given and TLS_KEY_FILE is not")),
            (None, Some(_)) => {
                return Err(cli.reject("tls.cert_file", "TLS_KEY_FILE is given and TLS_CERT_FILE is not"));
            }
            (Some(_), Some(_)) => return Ok(()),
            (None, None) if makes_its_own || self.allow_plain_http => return Ok(()),
            (None, None) => {}
        }
        refuse_far(cli, "listen", listen, ways)
    }

    /// The same of the addresses of figures, which have the certificate of the API where others reach them.
    ///
    /// # Errors
    /// Names an address where the key of figures would be in the clear.
    pub fn check_figures<S>(&self, cli: &Cli<S>, listen: &[String], has_certificate: bool) -> Result<(), ConfigError> {
        if has_certificate || self.files().is_some() || self.allow_plain_http {
            return Ok(());
        }
        refuse_far(cli, "metrics.listen", listen, "")
    }
}

fn refuse_far<S>(cli: &Cli<S>, setting: &str, listen: &[String], ways: &str) -> Result<(), ConfigError> {
    match listen.iter().find(|address| !is_on_loopback(address)) {
        None => Ok(()),
        Some(address) => {
            let reason = format!(
                "other machines reach {address}, and HTTP there would be in the clear, keys included: {ways}name a certificate with \
                 TLS_CERT_FILE and TLS_KEY_FILE, listen on 127.0.0.1, or, for a proxy in front that speaks HTTPS, set ALLOW_PLAIN_HTTP=true"
            );
            Err(cli.reject(setting, reason))
        }
    }
}

/// Whether only this machine reaches an address to listen on, `host:port`. A name counts as what others reach: nobody knows where it leads.
#[must_use]
pub fn is_on_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _port)| host);
    is_loopback(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_addresses_are_for_this_machine_alone() {
        for (address, alone) in [
            ("127.0.0.1:8080", true),
            ("127.9.9.9:0", true),
            ("[::1]:8080", true),
            ("[::ffff:127.0.0.1]:80", true),
            ("localhost:8080", true),
            ("0.0.0.0:8080", false),
            ("[::]:8080", false),
            ("192.0.2.7:8080", false),
            ("management:8080", false),
        ] {
            assert_eq!(is_on_loopback(address), alone, "{address}");
        }
    }
}
