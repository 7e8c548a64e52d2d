//! Where PostgreSQL is.

use std::fmt::Write as _;
use std::str::FromStr as _;

use sea_orm::sqlx::postgres::PgConnectOptions;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use vpnmanager_runtime::config::{Cli, ConfigError, Setting};

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "database.url",
        "DATABASE_URL",
        "Where PostgreSQL is, in one text; the settings below then have no effect",
        "postgres://user:password@host:port/dbname?sslmode=...",
    )
    .secret(),
    Setting::new(
        "database.host",
        "DB_HOST",
        "Host of PostgreSQL",
        "a name, an address or the folder of its socket",
    )
    .default("localhost"),
    Setting::new(
        "database.port",
        "DB_PORT",
        "Port of PostgreSQL",
        "a number from 1 to 65535",
    )
    .default("5432"),
    Setting::new("database.user", "DB_USER", "User of the database", "a name").default("vpnmanager"),
    Setting::new("database.password", "DB_PASSWORD", "Password of that user", "any text")
        .secret()
        .sample("change-me"),
    Setting::new("database.dbname", "DB_NAME", "Name of the database", "a name").default("vpnmanager"),
    Setting::new(
        "database.sslmode",
        "DB_SSLMODE",
        "TLS to PostgreSQL",
        "disable, allow, prefer, require, verify-ca or verify-full",
    )
    .default("prefer"),
];

/// Where PostgreSQL is.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct DatabaseConfig {
    /// DATABASE_URL, or the file named by DATABASE_URL_FILE: instead of all that follows.
    #[serde(serialize_with = "vpnmanager_runtime::config::masked")]
    pub url: Option<SecretString>,
    /// DB_HOST.
    pub host: String,
    /// DB_PORT.
    pub port: u16,
    /// DB_USER.
    pub user: String,
    /// DB_PASSWORD, or the file named by DB_PASSWORD_FILE.
    #[serde(serialize_with = "vpnmanager_runtime::config::masked")]
    pub password: Option<SecretString>,
    /// DB_NAME.
    pub dbname: String,
    /// DB_SSLMODE.
    pub sslmode: SslMode,
}

/// How much TLS is asked for (PostgreSQL manual, libpq, "SSL Support").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SslMode {
    /// None.
    Disable,
    /// Only if the server insists.
    Allow,
    /// If the server can.
    Prefer,
    /// Always, with any certificate.
    Require,
    /// Always, with a certificate of a known CA.
    VerifyCa,
    /// Always, with a certificate of a known CA for that host.
    VerifyFull,
}

impl SslMode {
    fn as_str(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Allow => "allow",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }
}

impl DatabaseConfig {
    /// The connection URL, password included.
    #[must_use]
    pub fn connection_url(&self) -> SecretString {
        if let Some(url) = &self.url {
            return url.clone();
        }
        let mut url = format!("postgres://{}", encoded(&self.user));
        if let Some(password) = &self.password {
            url.push(':');
            url.push_str(&encoded(password.expose_secret()));
        }
        // A socket's folder and an IPv6 address do not fit where the host stands in a URL.
        let is_plain = !self.host.contains(['/', ':']);
        let host = if is_plain { self.host.as_str() } else { "localhost" };
        url.push_str(&format!(
            "@{}:{}/{}?sslmode={}",
            encoded(host),
            self.port,
            encoded(&self.dbname),
            self.sslmode.as_str()
        ));
        if !is_plain {
            url.push_str(&format!("&host={}", encoded(&self.host)));
        }
        url.into()
    }

    /// Checks what serde cannot.
    ///
    /// # Errors
    /// [`ConfigError`] naming the setting. It never holds the URL; the database's library would quote it, password included.
    pub fn check<S>(&self, cli: &Cli<S>) -> Result<(), ConfigError> {
        if let Some(url) = &self.url {
            let url = url.expose_secret();
            let is_postgres = ["postgres://", "postgresql://"]
                .iter()
                .any(|scheme| url.starts_with(scheme));
            if !is_postgres || PgConnectOptions::from_str(url).is_err() {
                return Err(cli.reject("database.url", "it is not a URL of PostgreSQL"));
            }
            return Ok(());
        }
        for (key, value) in [
            ("database.host", &self.host),
            ("database.user", &self.user),
            ("database.dbname", &self.dbname),
        ] {
            if value.is_empty() {
                return Err(cli.reject(key, "it is empty"));
            }
        }
        if self.port == 0 {
            return Err(cli.reject("database.port", "0 is not a port"));
        }
        Ok(())
    }
}

/// Percent-encoding of everything outside the unreserved characters of RFC 3986.
fn encoded(text: &str) -> String {
    text.bytes()
        .fold(String::with_capacity(text.len()), |mut encoded, byte| {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                encoded.push(char::from(byte));
            } else {
                // Writing to a String cannot fail.
                let _infallible = write!(encoded, "%{byte:02X}");
            }
            encoded
        })
}
