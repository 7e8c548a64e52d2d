//! Who this node is: the keys that it made, and what management gave for them. Every file is 0600 and written whole or not at all.

use std::{io, path::Path};

use chrono::{DateTime, Utc};
use nkeys::KeyPair;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use vpnmanager_nats::{
    endpoint::BusPlace,
    ids::NodeId,
    security::{
        creds::{Credentials, CredentialsError},
        keys::NodePublicKey,
    },
};
use vpnmanager_runtime::secret_file::{self, SecretFileError};

use crate::{
    apply::{is_for_key, make_key},
    server_certificate::{Material, ReplacedAuthorities, ReplacedCertificate},
    state_dir::StateDir,
};

/// The keys that never leave this node. Shows neither.
pub struct NodeKeys {
    /// The NKey with which the node proves itself on the bus.
    pub bus: KeyPair,
    /// PKCS #8 of the OpenVPN server's key, PEM.
    pub server: SecretString,
}

/// What management gave at enrolment, and for whom.
#[derive(Clone, Serialize, Deserialize)]
pub struct Identity {
    /// The node.
    pub server_id: NodeId,
    /// The public half of the bus key.
    pub bus_public_key: NodePublicKey,
    /// Where the bus is.
    pub bus_urls: Vec<String>,
    /// The CA of the bus, PEM; `None` for a plaintext bus.
    pub bus_ca: Option<String>,
    /// The bus credential.
    pub bus_jwt: String,
    /// The fleet's authorities, PEM: one, or two while one takes the place of the other.
    pub ca: String,
    /// This node's OpenVPN server certificate, PEM.
    pub certificate: String,
    /// The fleet's tls-crypt-v2 server key, PEM.
    pub tls_crypt_v2_key: String,
    /// What the common name of every node's certificate begins with.
    pub server_name_prefix: String,
    /// The CA of management's HTTPS that the join token named, DER in base64, where that is not the fleet's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub management_ca: Option<String>,
    /// When the node enrolled.
    pub enrolled_at: DateTime<Utc>,
    /// Where management said last that the bus is, if that is elsewhere: tried when the bus cannot be reached where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_bus: Option<BusPlace>,
    /// The certificate before the one that there is, since it was renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_certificate: Option<ReplacedCertificate>,
    /// The authorities before those that there are, since there are others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_authorities: Option<ReplacedAuthorities>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity")
            .field("server_id", &self.server_id)
            .field("bus_urls", &self.bus_urls)
            .finish_non_exhaustive()
    }
}

/// The identity cannot be used. Nothing is ever deleted because of it.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file could not be read or written.
    #[error("the node's identity is not accessible")]
    File(#[from] SecretFileError),
    /// A file does not hold what it should.
    #[error(
        "{file} does not hold {expected}; restore it from a backup, or move it and identity.json out of the state folder and enrol anew"
    )]
    Content {
        /// The file.
        file: String,
        /// What it should hold.
        expected: &'static str,
    },
    /// The state folder belongs to another node.
    #[error(
        "the state folder {folder} belongs to the node {found}, and SERVER_ID is {configured}: \
         set SERVER_ID={found}, or give {configured} a state folder of its own"
    )]
    AnotherNode {
        /// The folder.
        folder: String,
        /// Whose it is.
        found: NodeId,
        /// Who was expected.
        configured: NodeId,
    },
    /// The keys could not be made.
    #[error("making the node's keys failed")]
    Make(#[source] rcgen::Error),
    /// A key has no seed, or is of another type.
    #[error("the node's bus key cannot be used")]
    BusKey(#[source] nkeys::error::Error),
    /// The credentials cannot be written.
    #[error("the node's bus credentials cannot be put together")]
    Credentials(#[from] CredentialsError),
}

impl NodeKeys {
    /// The keys of this node, made and saved at the first start. They are saved before management hears of them, so that an
    /// enrolment that is repeated after a crash uses the same keys.
    pub fn load_or_make(dir: &StateDir, node: &NodeId) -> Result<Self, IdentityError> {
        let bus = match read_present(&dir.bus_key())? {
            Some(seed) => {
                KeyPair::from_seed(seed.expose_secret().trim()).map_err(|_| content(&dir.bus_key(), "an NKey seed"))?
            }
            None => {
                let key = KeyPair::new_user();
                secret_file::write(
                    &dir.bus_key(),
                    format!("{}\n", key.seed().map_err(IdentityError::BusKey)?),
                )?;
                key
            }
        };
        let server = match read_present(&dir.key())? {
            Some(pem) => pem,
            None => {
                let key = make_key(node.as_str()).map_err(IdentityError::Make)?.key;
                secret_file::write(&dir.key(), key.expose_secret())?;
                key
            }
        };
        Ok(Self { bus, server })
    }

    /// The public half of the bus key.
    pub fn bus_public_key(&self) -> String {
        self.bus.public_key()
    }

    /// The request for the server's certificate, PEM.
    pub fn csr(&self, node: &NodeId) -> Result<String, IdentityError> {
        let unusable = |_| IdentityError::Content {
            file: "node.key".to_owned(),
            expected: "a private key",
        };
        let key = rcgen::KeyPair::from_pem(self.server.expose_secret()).map_err(unusable)?;
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, node.as_str());
        params
            .serialize_request(&key)
            .and_then(|csr| csr.pem())
            .map_err(IdentityError::Make)
    }
}

impl Identity {
    /// The identity that an earlier start saved, if there is one.
    pub fn load(dir: &StateDir, configured: &NodeId) -> Result<Option<Self>, IdentityError> {
        let file = dir.identity();
        let Some(text) = read_present(&file)? else {
            return Ok(None);
        };
        let identity: Self =
            serde_json::from_str(text.expose_secret()).map_err(|_| content(&file, "the identity of a node"))?;
        if identity.server_id != *configured {
            return Err(IdentityError::AnotherNode {
                folder: dir.root().display().to_string(),
                found: identity.server_id,
                configured: configured.clone(),
            });
        }
        Ok(Some(identity))
    }

    /// Saves it. `identity.json` comes last: as long as it is not there, the node has not enrolled.
    pub fn save(&self, dir: &StateDir, keys: &NodeKeys) -> Result<(), IdentityError> {
        self.project(dir, keys)?;
        let text =
            serde_json::to_string_pretty(self).map_err(|_| content(&dir.identity(), "the identity of a node"))?;
        Ok(secret_file::write(&dir.identity(), text)?)
    }

    /// Writes the files that follow from it, which OpenVPN and the NATS tools read.
    pub fn project(&self, dir: &StateDir, keys: &NodeKeys) -> Result<(), IdentityError> {
        let credentials = Credentials {
            jwt: self.bus_jwt.clone(),
            key: keys.bus.clone(),
        };
        put(&dir.bus_credentials(), &credentials.to_file_text()?)?;
        if let Some(ca) = &self.bus_ca {
            put(&dir.bus_ca(), ca)?;
        }
        put(&dir.ca(), &self.ca)?;
        put(&dir.certificate(), &self.certificate)?;
        Ok(put(&dir.tls_crypt_v2(), &self.tls_crypt_v2_key)?)
    }

    /// Where the bus is, as far as the node knows.
    pub fn bus_place(&self) -> BusPlace {
        BusPlace {
            urls: self.bus_urls.clone(),
            ca: self.bus_ca.clone(),
        }
    }

    /// What OpenVPN reads of it.
    pub fn material(&self) -> Material<'_> {
        Material {
            certificate: &self.certificate,
            authorities: &self.ca,
            replaced: self.replaced_certificate.clone(),
            replaced_authorities: self.replaced_authorities.clone(),
        }
    }

    /// Whether this identity belongs to these keys.
    pub fn is_for(&self, keys: &NodeKeys) -> bool {
        self.bus_public_key.as_str() == keys.bus_public_key()
            && is_for_key(&self.certificate, keys.server.expose_secret())
    }
}

/// Writes a file anew. It is no error when that fails and the file already holds the text: a full disk must not keep the node from
/// starting.
fn put(path: &Path, text: &str) -> Result<(), SecretFileError> {
    secret_file::write(path, text).or_else(|error| match read_present(path) {
        Ok(Some(present)) if present.expose_secret().trim_end() == text.trim_end() => Ok(()),
        Ok(_) | Err(_) => Err(error),
    })
}

fn read_present(path: &Path) -> Result<Option<SecretString>, SecretFileError> {
    match secret_file::read(path) {
        Ok(text) => Ok(Some(text)),
        Err(SecretFileError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn content(file: &Path, expected: &'static str) -> IdentityError {
    IdentityError::Content {
        file: file.display().to_string(),
        expected,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn folder() -> (tempfile::TempDir, StateDir) {
        let folder = tempfile::tempdir().unwrap();
        let dir = StateDir::new(folder.path().join("state"));
        dir.prepare().unwrap();
        (folder, dir)
    }

    #[test]
    fn keys_are_born_once_and_private() {
        let (_folder, dir) = folder();
        let node: NodeId = "n1".parse().unwrap();
        let first = NodeKeys::load_or_make(&dir, &node).unwrap();
        let second = NodeKeys::load_or_make(&dir, &node).unwrap();
        assert_eq!(first.bus_public_key(), second.bus_public_key());
        assert_eq!(
            first.server.expose_secret().trim(),
            second.server.expose_secret().trim()
        );
        for file in [dir.bus_key(), dir.key()] {
            assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert!(first.csr(&node).unwrap().contains("BEGIN CERTIFICATE REQUEST"));
    }

    #[test]
    fn the_state_of_another_node_is_refused_with_the_way_out() {
        let (_folder, dir) = folder();
        let identity = Identity {
            server_id: "n1".parse().unwrap(),
            bus_public_key: KeyPair::new_user().public_key().parse().unwrap(),
            bus_urls: vec!["nats://127.0.0.1:4222".to_owned()],
            bus_ca: None,
            bus_jwt: "a.b.c".to_owned(),
            ca: "ca".to_owned(),
            certificate: "certificate".to_owned(),
            tls_crypt_v2_key: "key".to_owned(),
            server_name_prefix: "node.".to_owned(),
            management_ca: None,
            enrolled_at: Utc::now(),
            told_bus: None,
            replaced_certificate: None,
            replaced_authorities: None,
        };
        let keys = NodeKeys::load_or_make(&dir, &identity.server_id).unwrap();
        identity.save(&dir, &keys).unwrap();

        assert!(Identity::load(&dir, &identity.server_id).unwrap().is_some());
        let error = Identity::load(&dir, &"n2".parse().unwrap()).unwrap_err();
        assert!(matches!(error, IdentityError::AnotherNode { .. }));
        assert!(error.to_string().contains("SERVER_ID=n1"), "{error}");
        assert!(!format!("{identity:?}").contains("a.b.c"));
    }

    #[test]
    fn a_damaged_identity_is_an_error_and_not_a_new_node() {
        let (_folder, dir) = folder();
        std::fs::write(dir.identity(), "{").unwrap();
        assert!(matches!(
            Identity::load(&dir, &"n1".parse().unwrap()),
            Err(IdentityError::Content { .. })
        ));
    }

    #[test]
    fn two_agents_cannot_have_one_folder() {
        let (_folder, dir) = folder();
        let held = dir.lock().unwrap();
        assert!(matches!(dir.lock(), Err(StateDirError::Taken { .. })));
        drop(held);
        assert!(dir.lock().is_ok());
    }

    use crate::state_dir::StateDirError;
}
