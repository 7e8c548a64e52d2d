//! Where PostgreSQL is.

mod sslmode;
mod trust;
mod url;

use std::path::PathBuf;

use sea_orm::DbErr;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use vpnmanager_runtime::config::{Cli, ConfigError, Setting, is_placeholder};

pub use sslmode::SslMode;
use trust::{Trust, VARIABLES, is_system};
use url::{SEVERAL_HOSTS, encoded, fault_of_url, for_library, password_of, trust_of, user_of};

use crate::{ops::sqlstate::is_about_tls, pooler};

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
    .default("localhost")
    .replaced_by("database.url"),
    Setting::new(
        "database.port",
        "DB_PORT",
        "Port of PostgreSQL",
        "a number from 1 to 65535",
    )
    .default("5432")
    .replaced_by("database.url"),
    Setting::new("database.user", "DB_USER", "User of the database", "a name")
        .default("vpnmanager")
        .replaced_by("database.url"),
    Setting::new("database.password", "DB_PASSWORD", "Password of that user", "any text")
        .secret()
        .replaced_by("database.url"),
    Setting::new("database.dbname", "DB_NAME", "Name of the database", "a name")
        .default("vpnmanager")
        .replaced_by("database.url"),
    Setting::new(
        "database.sslmode",
        "DB_SSLMODE",
        "TLS to PostgreSQL",
        "disable, allow, prefer, require, verify-ca or verify-full",
    )
    .replaced_by("database.url"),
    Setting::new(
        "database.sslrootcert",
        "DB_SSLROOTCERT",
        "The CA that signed the certificate of PostgreSQL, beside the CAs that browsers know",
        "a PEM file, or system for the CAs that browsers know",
    )
    .replaced_by("database.url"),
    Setting::new(
        "database.owner_url",
        "DATABASE_OWNER_URL",
        "As DATABASE_URL, for the role that owns the tables; only together with it",
        "postgres://user:password@host:port/dbname?sslmode=...",
    )
    .secret(),
    Setting::new(
        "database.owner_user",
        "DB_OWNER_USER",
        "The role that owns the tables, where that is not DB_USER: it runs migrations and archives the audit trail",
        "a name other than DB_USER",
    ),
    Setting::new(
        "database.owner_password",
        "DB_OWNER_PASSWORD",
        "Password of that role",
        "any text",
    )
    .secret(),
];

/// What stood in the sample file of earlier releases: whoever left it there forgot to set it.
const OF_A_SAMPLE: &str = "change-me";

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
    /// DB_SSLMODE; `None`: `prefer` where PostgreSQL is on this machine, `verify-full` elsewhere.
    pub sslmode: Option<SslMode>,
    /// DB_SSLROOTCERT: a PEM file, or `system`.
    pub sslrootcert: Option<PathBuf>,
    /// DATABASE_OWNER_URL, or the file named by DATABASE_OWNER_URL_FILE: the owner's connection where `url` is given.
    #[serde(serialize_with = "vpnmanager_runtime::config::masked")]
    pub owner_url: Option<SecretString>,
    /// DB_OWNER_USER: the role that owns the tables, where that is not `user`.
    pub owner_user: Option<String>,
    /// DB_OWNER_PASSWORD, or the file named by DB_OWNER_PASSWORD_FILE.
    #[serde(serialize_with = "vpnmanager_runtime::config::masked")]
    pub owner_password: Option<SecretString>,
}

impl DatabaseConfig {
    /// The connection URL, password included.
    #[must_use]
    pub fn connection_url(&self) -> SecretString {
        match &self.url {
            Some(url) => for_library(url),
            None => self.composed(&self.user, self.password.as_ref()),
        }
    }

    /// The connection URL of the role that owns the tables, password included; `None` if no such role is given.
    #[must_use]
    pub fn owner_connection_url(&self) -> Option<SecretString> {
        if self.url.is_some() {
            return self.owner_url.as_ref().map(for_library);
        }
        let user = self.owner_user.as_deref()?;
        Some(self.composed(user, self.owner_password.as_ref()))
    }

    fn composed(&self, user: &str, password: Option<&SecretString>) -> SecretString {
        let mut url = format!("postgres://{}", encoded(user));
        if let Some(password) = password {
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
            self.mode().as_str()
        ));
        if let Some(file) = self.sslrootcert.as_deref().filter(|file| !is_system(file)) {
            url.push_str(&format!("&sslrootcert={}", encoded(&file.display().to_string())));
        }
        if !is_plain {
            url.push_str(&format!("&host={}", encoded(&self.host)));
        }
        url.into()
    }

    /// The mode where the parts count.
    fn mode(&self) -> SslMode {
        self.sslmode.unwrap_or_else(|| SslMode::default_for(&self.host))
    }

    /// Whether nobody chose the mode, and another machine is connected to, so that its certificate is verified.
    #[must_use]
    pub fn verifies_by_default(&self) -> bool {
        match &self.url {
            Some(url) => url::verifies_by_default(url),
            None => self.sslmode.is_none() && SslMode::default_for(&self.host) == SslMode::VerifyFull,
        }
    }

    /// What to say of a connection that failed. A default that is stricter than what an operator expects is named where it may be the cause.
    #[must_use]
    pub fn connecting_failed(&self, error: &DbErr) -> &'static str {
        if let Some(advice) = pooler::advice(error) {
            advice
        } else if self.verifies_by_default() && is_about_tls(error) {
            "connecting to PostgreSQL failed. It is on another machine, so its certificate is verified by default: DB_SSLROOTCERT names a \
             CA of your own, DB_SSLMODE (or sslmode in DATABASE_URL) chooses less than verify-full"
        } else {
            "connecting to PostgreSQL failed"
        }
    }

    /// Checks what serde cannot.
    ///
    /// # Errors
    /// [`ConfigError`] naming the setting. It never holds the URL; the database's library would quote it, password included.
    pub fn check<S>(&self, cli: &Cli<S>) -> Result<(), ConfigError> {
        for (key, url) in [("database.url", &self.url), ("database.owner_url", &self.owner_url)] {
            if let Some(reason) = url.as_ref().and_then(fault_of_url) {
                return Err(cli.reject(key, reason));
            }
        }
        self.check_owner(cli)?;
        for Password { key, password, is_here } in self.passwords() {
            // On this machine only its own programs ask. Anywhere else whoever reaches the port would be everybody's administrator.
            if password == OF_A_SAMPLE || (is_placeholder(&password) && !is_here) {
                return Err(cli.reject(
                    key,
                    "the password is an example that everybody knows: give the role another one with ALTER ROLE ... PASSWORD, and set it here",
                ));
            }
        }
        if self.url.is_none() {
            self.check_parts(cli)?;
        }
        self.check_trust(cli)
    }

    fn check_parts<S>(&self, cli: &Cli<S>) -> Result<(), ConfigError> {
        for (key, value) in [
            ("database.host", &self.host),
            ("database.user", &self.user),
            ("database.dbname", &self.dbname),
        ] {
            if value.is_empty() {
                return Err(cli.reject(key, "it is empty"));
            }
        }
        if self.host.contains(',') && !self.host.starts_with('/') {
            return Err(cli.reject("database.host", SEVERAL_HOSTS));
        }
        if self.port == 0 {
            return Err(cli.reject("database.port", "0 is not a port"));
        }
        Ok(())
    }

    /// A CA that would have no effect is refused: whoever gave it thinks that certificates are verified. So is one that cannot be read,
    /// which otherwise shows half a minute later, without its name.
    fn check_trust<S>(&self, cli: &Cli<S>) -> Result<(), ConfigError> {
        let given = match &self.url {
            Some(url) => vec![
                ("database.url", trust_of(url)),
                ("database.owner_url", self.owner_url.as_ref().and_then(trust_of)),
            ],
            None => vec![("database.sslrootcert", self.trust())],
        };
        for (key, trust) in given {
            if let Some(reason) = trust.and_then(|trust| trust.fault()) {
                return Err(cli.reject(key, reason));
            }
        }
        Ok(())
    }

    /// The CA where the parts count.
    fn trust(&self) -> Option<Trust> {
        let ca = self.sslrootcert.clone()?;
        Some(Trust {
            mode: self.mode(),
            ca,
            names: VARIABLES,
        })
    }
}

/// A password, in which setting it is, and whether it is for a database on this machine.
struct Password {
    key: &'static str,
    password: String,
    is_here: bool,
}

impl DatabaseConfig {
    /// The settings with a password that everybody knows, which is accepted because the database is on this machine.
    #[must_use]
    pub fn known_passwords(&self) -> Vec<&'static str> {
        let known = self.passwords();
        known
            .into_iter()
            .filter(|found| is_placeholder(&found.password))
            .map(|found| found.key)
            .collect()
    }

    fn passwords(&self) -> Vec<Password> {
        let of_url = |key, url: Option<&SecretString>| {
            let is_here = url::is_here(url?)?;
            let password = password_of(url?)?;
            Some(Password { key, password, is_here })
        };
        let of_part = |key, password: Option<&SecretString>| {
            let password = password?.expose_secret().to_owned();
            let is_here = SslMode::default_for(&self.host) == SslMode::Prefer;
            Some(Password { key, password, is_here })
        };
        let found = match &self.url {
            Some(url) => [
                of_url("database.url", Some(url)),
                of_url("database.owner_url", self.owner_url.as_ref()),
            ],
            None => [
                of_part("database.password", self.password.as_ref()),
                of_part("database.owner_password", self.owner_password.as_ref()),
            ],
        };
        found.into_iter().flatten().collect()
    }

    /// The role that the service works as.
    pub fn service_role(&self) -> String {
        let of_url = self.url.as_ref().and_then(user_of);
        of_url.unwrap_or_else(|| self.user.clone())
    }

    /// An owner that is no other role, or whose settings have no effect, would leave the trail as open as before.
    fn check_owner<S>(&self, cli: &Cli<S>) -> Result<(), ConfigError> {
        if self.url.is_none() && self.owner_url.is_some() {
            return Err(cli.reject("database.owner_url", "it needs DATABASE_URL beside it"));
        }
        let of_url = self.owner_url.as_ref().and_then(user_of);
        let (key, owner) = match (&of_url, &self.owner_user) {
            (Some(owner), _) => ("database.owner_url", owner),
            (None, Some(_)) if self.url.is_some() => {
                return Err(cli.reject("database.owner_user", "beside DATABASE_URL it is DATABASE_OWNER_URL"));
            }
            (None, Some(owner)) => ("database.owner_user", owner),
            (None, None) if self.owner_password.is_some() => {
                return Err(cli.reject("database.owner_password", "it needs DB_OWNER_USER beside it"));
            }
            (None, None) => return Ok(()),
        };
        if owner.is_empty() {
            return Err(cli.reject(key, "it is empty"));
        }
        if *owner == self.service_role() {
            return Err(cli.reject(key, "it is the role of the service itself"));
        }
        Ok(())
    }
}
