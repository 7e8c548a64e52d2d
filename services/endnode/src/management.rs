//! The way to management over HTTP: who is believed to be it, and what is never said in the clear.

use std::{fs, io, path::PathBuf, str::FromStr as _, time::Duration};

use data_encoding::BASE64;
use reqwest::Certificate;
use secrecy::ExposeSecret as _;
use vpnmanager_openapi::contract::join_token;
use vpnmanager_runtime::{
    loopback,
    tls::{Fingerprint, NoFingerprint, PinnedAuthority},
};

use crate::{config::Config, identity::Identity};

/// Where management is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagementPlace {
    /// MANAGEMENT_URL.
    pub url: String,
    /// MANAGEMENT_CA: a file of the only CAs that are believed.
    pub ca_file: Option<PathBuf>,
}

/// Whose certificates are believed to be management's.
#[derive(Debug, Clone)]
pub enum Trust {
    /// Those of the CAs that this machine knows, and of these.
    Machine(Vec<Certificate>),
    /// Those of these CAs alone.
    Only(Vec<Certificate>),
    /// Those of the CA that the join token names.
    Pinned(PinnedAuthority),
}

/// Why nobody is asked.
#[derive(Debug, thiserror::Error)]
pub enum WayError {
    /// The file of CAs cannot be read.
    #[error("MANAGEMENT_CA: cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It holds no CA.
    #[error("MANAGEMENT_CA: {} holds no certificate in PEM that can be used", path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
    },
    /// The fleet's CA, as it is saved, cannot be used.
    #[error("the CA in identity.json cannot be used")]
    Saved(#[source] reqwest::Error),
    /// The join token is damaged.
    #[error("JOIN_TOKEN: what follows its dot names no CA; copy the whole token")]
    Token(#[from] NoFingerprint),
    /// The token or the key would be read on the way.
    #[error(
        "MANAGEMENT_URL={url} is HTTP in the clear to another machine, which would tell everybody on the way the join token: use https://, or set \
         ALLOW_PLAIN_HTTP=true if the way is safe by other means"
    )]
    Clear {
        /// Where management is.
        url: String,
    },
    /// The client of HTTP cannot be made.
    #[error("the client of HTTPS cannot be made")]
    Client(#[source] reqwest::Error),
}

impl ManagementPlace {
    /// Where the configuration says that it is.
    #[must_use]
    pub fn of(config: &Config) -> Option<Self> {
        config.management_url.as_ref().map(|url| Self {
            url: url.clone(),
            ca_file: config.management_ca.clone(),
        })
    }

    /// Whether others could read what is said on the way.
    #[must_use]
    pub fn is_in_the_clear(&self) -> bool {
        loopback::is_in_the_clear(&self.url)
    }

    /// Who is believed before this node has enrolled: who the configuration says, else who the token says, else who the machine says.
    ///
    /// # Errors
    /// Nobody can be, or the token would be read on the way.
    pub fn trust_to_enrol(&self, config: &Config) -> Result<Trust, WayError> {
        if self.is_in_the_clear() && !config.tls.allow_plain_http {
            return Err(WayError::Clear { url: self.url.clone() });
        }
        if let Some(trust) = self.trust_of_file()? {
            return Ok(trust);
        }
        let token = config.join_token.as_ref().map(|token| token.expose_secret());
        match token.and_then(|token| join_token::split(token.trim()).1) {
            Some(pin) => Ok(Trust::Pinned(PinnedAuthority::new(Fingerprint::from_str(pin)?))),
            None => Ok(Trust::Machine(Vec::new())),
        }
    }

    /// Who is believed from then on: who the configuration says, else the CAs that enrolment brought and those that the machine knows.
    ///
    /// # Errors
    /// Nobody can be.
    pub fn trust_of(&self, identity: &Identity) -> Result<Trust, WayError> {
        if let Some(trust) = self.trust_of_file()? {
            return Ok(trust);
        }
        let mut authorities = Certificate::from_pem_bundle(identity.ca.as_bytes()).map_err(WayError::Saved)?;
        let pinned = identity.management_ca.as_ref();
        if let Some(der) = pinned.and_then(|text| BASE64.decode(text.as_bytes()).ok()) {
            authorities.push(Certificate::from_der(&der).map_err(WayError::Saved)?);
        }
        Ok(Trust::Machine(authorities))
    }

    fn trust_of_file(&self) -> Result<Option<Trust>, WayError> {
        let Some(path) = &self.ca_file else { return Ok(None) };
        let pem = fs::read(path).map_err(|source| WayError::Read {
            path: path.clone(),
            source,
        })?;
        match Certificate::from_pem_bundle(&pem) {
            Ok(authorities) if !authorities.is_empty() => Ok(Some(Trust::Only(authorities))),
            Ok(_) | Err(_) => Err(WayError::Authorities { path: path.clone() }),
        }
    }
}

impl Trust {
    /// A client of HTTP that believes nobody else, and follows no redirect: that would turn a request into another one. A management on this
    /// machine is asked through no proxy.
    ///
    /// # Errors
    /// The certificates cannot be used.
    pub fn client(&self, place: &ManagementPlace, timeout: Duration) -> Result<reqwest::Client, WayError> {
        let builder = reqwest::Client::builder()
            .timeout(timeout)
            .redirect(reqwest::redirect::Policy::none());
        let builder = match self {
            Self::Machine(authorities) => builder.tls_certs_merge(authorities.iter().cloned()),
            Self::Only(authorities) => builder.tls_certs_only(authorities.iter().cloned()),
            Self::Pinned(authority) => builder.tls_backend_preconfigured(authority.client()),
        };
        loopback::past_proxies(builder, &place.url)
            .build()
            .map_err(WayError::Client)
    }

    /// The CA that the token named, as an identity keeps it, once somebody has shown it.
    #[must_use]
    pub fn pinned(&self) -> Option<String> {
        match self {
            Self::Pinned(authority) => authority.certificate().map(|der| BASE64.encode(&der)),
            Self::Machine(_) | Self::Only(_) => None,
        }
    }
}
