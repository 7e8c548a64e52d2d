//! Reading the files of a bus.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use nkeys::{KeyPair, KeyPairType};

use super::names;
use crate::security::{
    claims::{AccountClaims, SigningKey},
    creds::{Credentials, CredentialsError},
    jwt::{Claims, JwtError},
    keys::{AccountKey, InvalidKey},
    node_credentials::NodeAuthority,
};

/// The folder that `bus-init` filled. Each method reads one file.
#[derive(Debug, Clone)]
pub struct BusFiles {
    dir: PathBuf,
}

/// Why a file of the bus cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BusFilesError {
    /// The file could not be read.
    #[error(
        "could not read {path}; `vpnmanager-management bus-init` makes it for a new bus, a backup of the folder has that of an old one"
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The file holds no seed, or the seed of another kind of key.
    #[error("{path} holds no seed of the expected kind")]
    Seed {
        /// The file.
        path: PathBuf,
    },
    /// The file holds no credentials.
    #[error("{path} is no credentials file")]
    Credentials {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: CredentialsError,
    },
    /// The file holds no account token.
    #[error("{path} is no account token")]
    Token {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: JwtError,
    },
    /// The account token names no account.
    #[error("{path} names no account")]
    Account {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: InvalidKey,
    },
    /// `nodes-signing.nk` and `NODES.jwt` are of two fleets.
    #[error("{path} is not the signing key that the NODES account names: the files are of two fleets")]
    ForeignSigner {
        /// The key's file.
        path: PathBuf,
    },
}

impl BusFiles {
    /// The files in `dir`. Nothing is read yet.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The names of all files that `bus-init` makes, for a backup. Those that are kept offline may be absent.
    pub fn names() -> impl Iterator<Item = &'static str> {
        names::KEPT.into_iter().chain(names::RENDERED)
    }

    /// The server's configuration, for `nats-server -c`.
    pub fn server_config_path(&self) -> PathBuf {
        self.dir.join(names::SERVER_CONFIG)
    }

    /// The path of the CA of the bus, for clients.
    pub fn ca_path(&self) -> PathBuf {
        self.dir.join(names::CA_CERTIFICATE)
    }

    /// The path of the certificate of the server. It may be on another machine.
    pub fn server_certificate_path(&self) -> PathBuf {
        self.dir.join(names::SERVER_CERTIFICATE)
    }

    /// Management's credentials, in the form that clients and the `nats` CLI read.
    pub fn management_creds_path(&self) -> PathBuf {
        self.dir.join(names::MANAGEMENT_CREDS)
    }

    /// The system account's credentials, in the same form.
    pub fn system_creds_path(&self) -> PathBuf {
        self.dir.join(names::SYSTEM_CREDS)
    }

    /// The CA of the bus, for the answer to an enrolment.
    pub fn ca_pem(&self) -> Result<String, BusFilesError> {
        read(&self.ca_path())
    }

    /// Management's credentials.
    pub fn management_credentials(&self) -> Result<Credentials, BusFilesError> {
        credentials(&self.management_creds_path())
    }

    /// The system account's credentials: to publish account tokens.
    pub fn system_credentials(&self) -> Result<Credentials, BusFilesError> {
        credentials(&self.system_creds_path())
    }

    /// The operator's signing key: to sign account tokens.
    pub fn operator_signing_key(&self) -> Result<KeyPair, BusFilesError> {
        seed(&self.dir.join(names::OPERATOR_SIGNING_KEY), &KeyPairType::Operator)
    }

    /// The NODES account as `bus-init` made it: the first value of what management then keeps in its database.
    pub fn nodes_account_jwt(&self) -> Result<String, BusFilesError> {
        read(&self.dir.join(names::NODES_JWT)).map(|text| text.trim().to_owned())
    }

    /// The key and account that sign node tokens.
    pub fn node_authority(&self) -> Result<NodeAuthority, BusFilesError> {
        let signer_path = self.dir.join(names::NODES_SIGNING_KEY);
        let signer = seed(&signer_path, &KeyPairType::Account)?;
        let path = self.dir.join(names::NODES_JWT);
        let claims = match Claims::<AccountClaims>::verify_signature(&self.nodes_account_jwt()?) {
            Ok(claims) => claims,
            Err(source) => return Err(BusFilesError::Token { path, source }),
        };
        let public = signer.public_key();
        let is_named = claims.body.signing_keys.iter().any(|key| match key {
            SigningKey::Scoped(scope) => scope.key == public,
            SigningKey::Plain(_) => false,
        });
        if !is_named {
            return Err(BusFilesError::ForeignSigner { path: signer_path });
        }
        let account: AccountKey = claims
            .subject
            .parse()
            .map_err(|source| BusFilesError::Account { path, source })?;
        Ok(NodeAuthority { signer, account })
    }
}

fn read(path: &Path) -> Result<String, BusFilesError> {
    fs::read_to_string(path).map_err(|source| BusFilesError::Read {
        path: path.to_owned(),
        source,
    })
}

fn seed(path: &Path, kind: &KeyPairType) -> Result<KeyPair, BusFilesError> {
    match KeyPair::from_seed(read(path)?.trim()) {
        Ok(key) if key.key_pair_type() == *kind => Ok(key),
        Ok(_) | Err(_) => Err(BusFilesError::Seed { path: path.to_owned() }),
    }
}

fn credentials(path: &Path) -> Result<Credentials, BusFilesError> {
    Credentials::parse(&read(path)?).map_err(|source| BusFilesError::Credentials {
        path: path.to_owned(),
        source,
    })
}
