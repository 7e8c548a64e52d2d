//! Where PostgreSQL is.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr as _;

use sea_orm::DbErr;
use sea_orm::sqlx::postgres::PgConnectOptions;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use vpnmanager_runtime::config::{Cli, ConfigError, Setting, is_placeholder};

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
        "The CA that signed the certificate of PostgreSQL; without it, the CAs that browsers know",
        "a PEM file",
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
    /// DB_SSLROOTCERT.
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
        match &self.url {
            Some(url) => with_sslmode(url),
            None => self.composed(&self.user, self.password.as_ref()),
        }
    }

    /// The connection URL of the role that owns the tables, password included; `None` if no such role is given.
    #[must_use]
    pub fn owner_connection_url(&self) -> Option<SecretString> {
        if self.url.is_some() {
            return self.owner_url.as_ref().map(with_sslmode);
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
            self.sslmode.unwrap_or_else(|| default_sslmode(&self.host)).as_str()
        ));
        if let Some(file) = &self.sslrootcert {
            url.push_str(&format!("&sslrootcert={}", encoded(&file.display().to_string())));
        }
        if !is_plain {
            url.push_str(&format!("&host={}", encoded(&self.host)));
        }
        url.into()
    }

    /// Whether nobody chose the mode, and another machine is connected to, so that its certificate is verified.
    #[must_use]
    pub fn verifies_by_default(&self) -> bool {
        match &self.url {
            Some(url) => with_sslmode(url).expose_secret() != url.expose_secret(),
            None => self.sslmode.is_none() && default_sslmode(&self.host) == SslMode::VerifyFull,
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
        if self.url.is_some() {
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
            let url = url?.expose_secret();
            let is_here = is_here(&PgConnectOptions::from_str(url).ok()?);
            let password = password_of(url)?;
            Some(Password { key, password, is_here })
        };
        let of_part = |key, password: Option<&SecretString>| {
            let password = password?.expose_secret().to_owned();
            let is_here = default_sslmode(&self.host) == SslMode::Prefer;
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

/// The user in a URL of PostgreSQL; `None` if it is no such URL. As in the library that connects, a URL without a user names that of the
/// process.
fn user_of(url: &SecretString) -> Option<String> {
    let url = url.expose_secret();
    let is_postgres = ["postgres://", "postgresql://"]
        .iter()
        .any(|scheme| url.starts_with(scheme));
    let options = is_postgres.then(|| PgConnectOptions::from_str(url).ok()).flatten()?;
    Some(options.get_username().to_owned())
}

/// The password in a URL of PostgreSQL: after the user, or as a parameter, which counts as it comes later.
fn password_of(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let of_user = authority.rsplit_once('@').and_then(|(user, _)| user.split_once(':'));
    let query = rest.split_once('?').map_or("", |(_, query)| query);
    let of_query = query
        .split('&')
        .filter_map(|pair| pair.strip_prefix("password="))
        .next_back();
    of_query.or(of_user.map(|(_, password)| password)).map(decoded)
}

/// What is wrong with a URL of PostgreSQL, without repeating any of it: it holds a password.
fn fault_of_url(url: &SecretString) -> Option<&'static str> {
    let text = url.expose_secret();
    let Some((_, rest)) = text
        .split_once("://")
        .filter(|(scheme, _)| scheme.starts_with("postgres"))
    else {
        return Some("it is not a URL of PostgreSQL: it does not begin with postgres://");
    };
    // What follows the host begins with one of these, so one of them in a password ends the host there.
    let after_host = rest
        .find(['/', '?', '#'])
        .and_then(|end| rest.get(end..))
        .unwrap_or_default();
    let before_at = after_host.split_once('@').map(|(before, _)| before);
    if before_at.is_some_and(|before| !before.contains('=')) {
        return Some(
            "its host ends before the last @: a / ? or # in the user or the password must be written as %2F, %3F or %23, and an @ as %40",
        );
    }
    user_of(url).is_none().then_some(
        "it is not a URL of PostgreSQL: : / ? # @ and % in the user or the password must be written as %3A %2F %3F %23 %40 and %25",
    )
}

/// Between programs of one machine nobody listens. Anywhere else the password and everything that is true about the users would pass in
/// the clear, or to whoever answers, so that needs the operator's word.
fn default_sslmode(host: &str) -> SslMode {
    let is_loopback = |address: IpAddr| address.to_canonical().is_loopback();
    let here = host.starts_with('/') || host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(is_loopback);
    if here { SslMode::Prefer } else { SslMode::VerifyFull }
}

/// Whether PostgreSQL is on this machine.
fn is_here(options: &PgConnectOptions) -> bool {
    options.get_socket().is_some() || default_sslmode(options.get_host().trim_matches(['[', ']'])) == SslMode::Prefer
}

/// The same URL, with the default mode for its host where that is not `prefer` and the URL says nothing.
fn with_sslmode(url: &SecretString) -> SecretString {
    let text = url.expose_secret();
    let query = text.split_once('?').map(|(_, query)| query);
    let is_said = query.is_some_and(|query| {
        let mut names = query.split('&').map(|pair| pair.split('=').next().unwrap_or(pair));
        names.any(|name| name == "sslmode" || name == "ssl-mode")
    });
    let Ok(options) = PgConnectOptions::from_str(text) else {
        return url.clone();
    };
    if is_said || is_here(&options) {
        return url.clone();
    }
    let joint = if query.is_some() { '&' } else { '?' };
    format!("{text}{joint}sslmode={}", SslMode::VerifyFull.as_str()).into()
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

/// The reverse; what is no such encoding stays as it is.
fn decoded(text: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, following @ ..] = rest {
        let code = following.get(..2).and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) if *first == b'%' => {
                decoded.push(byte);
                rest = following.get(2..).unwrap_or_default();
            }
            Some(_) | None => {
                decoded.push(*first);
                rest = following;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}
