//! How much TLS is asked for.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// How much TLS is asked for: the words of libpq (PostgreSQL manual, libpq, "SSL Support") as sqlx understands them, which never uses TLS
/// with `allow`, and verifies nothing but with the two modes that say so, whether a CA is given or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SslMode {
    /// None.
    Disable,
    /// None either.
    Allow,
    /// If the server can, with any certificate.
    Prefer,
    /// Always, with any certificate.
    Require,
    /// Always, with a certificate of a known CA.
    VerifyCa,
    /// Always, with a certificate of a known CA for that host.
    VerifyFull,
}

impl SslMode {
    const ALL: [Self; 6] = [
        Self::Disable,
        Self::Allow,
        Self::Prefer,
        Self::Require,
        Self::VerifyCa,
        Self::VerifyFull,
    ];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Allow => "allow",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }

    /// Whether the certificate of the server is verified.
    pub(super) fn verifies(self) -> bool {
        match self {
            Self::Disable | Self::Allow | Self::Prefer | Self::Require => false,
            Self::VerifyCa | Self::VerifyFull => true,
        }
    }

    /// The mode of a word, whatever its case.
    pub(super) fn of_word(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|mode| mode.as_str().eq_ignore_ascii_case(word))
    }

    /// Between programs of one machine nobody listens. Anywhere else the password and everything that is true about the users would pass in
    /// the clear, or to whoever answers, so that needs the operator's word.
    pub(super) fn default_for(host: &str) -> Self {
        let is_loopback = |address: IpAddr| address.to_canonical().is_loopback();
        let is_here =
            host.starts_with('/') || host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(is_loopback);
        if is_here { Self::Prefer } else { Self::VerifyFull }
    }
}
