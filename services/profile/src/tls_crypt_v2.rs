//! tls-crypt-v2 client keys, made in-process (OpenVPN's `doc/tls-crypt-v2.txt`).
//!
//! A client key is 256 random bytes plus the same bytes wrapped under the server key, so that a server needs no list of
//! them. The server key is 128 bytes: Ke = bytes 0..32 encrypts, Ka = bytes 64..96 authenticates.
//! With `meta` = type byte 0 and free text, and `len` = 16-bit big-endian length of the whole wrapped key:
//! T = HMAC-SHA256(Ka, len ‖ Kc ‖ meta); wrapped = T ‖ AES-256-CTR(Ke, iv = T[..16], Kc ‖ meta) ‖ len.

use aws_lc_rs::{
    cipher::{AES_256, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext, UnboundCipherKey},
    constant_time, error, hmac,
    iv::FixedLength,
    rand,
};
use secrecy::{ExposeSecret, SecretBox, SecretString};

use crate::pem::{self, InvalidPem};

const SERVER_LABEL: &str = "OpenVPN tls-crypt-v2 server key";
/// The label of a client key in PEM.
pub const CLIENT_LABEL: &str = "OpenVPN tls-crypt-v2 client key";
const SERVER_KEY: usize = 128;
const CLIENT_KEY: usize = 256;
const TAG: usize = 32;
const LENGTH: usize = 2;
const IV: usize = 16;
/// OpenVPN's bound on the wrapped part (`TLS_CRYPT_V2_MAX_WKC_LEN`).
const MAX_WRAPPED: usize = 1024;
/// Metadata that the site defines itself, as opposed to a timestamp (1).
pub(crate) const USER_METADATA: u8 = 0;

/// A tls-crypt-v2 key could not be read or made.
#[derive(Debug, thiserror::Error)]
pub enum TlsCryptV2Error {
    /// Not PEM of the expected kind.
    #[error("not a tls-crypt-v2 key file")]
    Pem(#[from] InvalidPem),
    /// The key has another size than OpenVPN's.
    #[error("a tls-crypt-v2 key has {actual} bytes where {expected} are expected")]
    Length {
        /// What it should have.
        expected: usize,
        /// What it has.
        actual: usize,
    },
    /// The text to wrap with the key is too long.
    #[error("the metadata of a tls-crypt-v2 client key is too long")]
    Metadata,
    /// The key was wrapped under another server key, or was altered.
    #[error("the tls-crypt-v2 client key does not belong to this server key")]
    Foreign,
    /// The cipher or the random source failed.
    #[error("cryptography failed")]
    Crypto(#[from] error::Unspecified),
}

/// The key that all nodes of a fleet share, and under which client keys are wrapped.
pub struct TlsCryptV2ServerKey(SecretBox<[u8; SERVER_KEY]>);

/// A new server key in PEM, as `openvpn --genkey tls-crypt-v2-server` makes it.
///
/// # Panics
/// When the operating system has no randomness to give.
pub fn new_server_key() -> SecretString {
    let mut key = [0_u8; SERVER_KEY];
    rand::fill(&mut key).expect("the operating system provides randomness");
    pem::render(SERVER_LABEL, &key).into()
}

impl std::fmt::Debug for TlsCryptV2ServerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsCryptV2ServerKey([REDACTED])")
    }
}

impl TlsCryptV2ServerKey {
    /// Reads the PEM that `openvpn --genkey tls-crypt-v2-server` writes.
    pub fn from_pem(text: &str) -> Result<Self, TlsCryptV2Error> {
        let bytes = single_block(text, SERVER_LABEL)?;
        let bytes: [u8; SERVER_KEY] = bytes
            .as_slice()
            .try_into()
            .map_err(|_| length(SERVER_KEY, bytes.len()))?;
        Ok(Self(SecretBox::new(Box::new(bytes))))
    }

    /// A new client key in PEM. `metadata` is the credential's common name; a holder of the server key can read it back.
    pub fn new_client_key(&self, metadata: &str) -> Result<SecretString, TlsCryptV2Error> {
        let mut key = [0_u8; CLIENT_KEY];
        rand::fill(&mut key)?;
        let wrapped = self.wrap(&key, metadata)?;
        Ok(pem::render(CLIENT_LABEL, &[key.as_slice(), &wrapped].concat()).into())
    }

    /// Checks that a client key in PEM is whole and wrapped under this server key, and returns its metadata.
    pub fn check_client_key(&self, text: &str) -> Result<Vec<u8>, TlsCryptV2Error> {
        let bytes = single_block(text, CLIENT_LABEL)?;
        let shortest = CLIENT_KEY + TAG + CLIENT_KEY + LENGTH;
        let longest = CLIENT_KEY + MAX_WRAPPED;
        if bytes.len() < shortest {
            return Err(length(shortest, bytes.len()));
        }
        if bytes.len() > longest {
            return Err(length(longest, bytes.len()));
        }
        let (key, wrapped) = bytes.split_at(CLIENT_KEY);
        let (tag, rest) = wrapped.split_at(TAG);
        let (ciphertext, len) = rest.split_at(rest.len() - LENGTH);

        let cipher = DecryptingKey::ctr(UnboundCipherKey::new(&AES_256, self.encryption())?)?;
        let mut plain = ciphertext.to_vec();
        cipher.decrypt(&mut plain, DecryptionContext::Iv128(iv(tag)?))?;
        let expected = self.tag(len, &plain);
        let whole = usize::from(u16::from_be_bytes([len[0], len[1]])) == wrapped.len();
        let authentic = constant_time::verify_slices_are_equal(&expected, tag).is_ok();
        if !whole || !authentic || &plain[..CLIENT_KEY] != key {
            return Err(TlsCryptV2Error::Foreign);
        }
        Ok(plain.split_off(CLIENT_KEY))
    }

    fn wrap(&self, key: &[u8; CLIENT_KEY], metadata: &str) -> Result<Vec<u8>, TlsCryptV2Error> {
        let mut body = [key.as_slice(), &[USER_METADATA], metadata.as_bytes()].concat();
        let total = TAG + body.len() + LENGTH;
        if total > MAX_WRAPPED {
            return Err(TlsCryptV2Error::Metadata);
        }
        let len = u16::try_from(total)
            .map_err(|_| TlsCryptV2Error::Metadata)?
            .to_be_bytes();
        let tag = self.tag(&len, &body);
        let cipher = EncryptingKey::ctr(UnboundCipherKey::new(&AES_256, self.encryption())?)?;
        cipher.less_safe_encrypt(&mut body, EncryptionContext::Iv128(iv(&tag)?))?;
        Ok([tag.as_slice(), &body, &len].concat())
    }

    fn tag(&self, len: &[u8], body: &[u8]) -> Vec<u8> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.authentication());
        let mut context = hmac::Context::with_key(&key);
        context.update(len);
        context.update(body);
        context.sign().as_ref().to_vec()
    }

    fn encryption(&self) -> &[u8] {
        &self.0.expose_secret()[..32]
    }

    fn authentication(&self) -> &[u8] {
        &self.0.expose_secret()[64..96]
    }
}

fn iv(tag: &[u8]) -> Result<FixedLength<IV>, TlsCryptV2Error> {
    Ok(FixedLength::try_from(&tag[..IV])?)
}

fn single_block(text: &str, label: &str) -> Result<Vec<u8>, TlsCryptV2Error> {
    let block = pem::parse(text, &[label])?.into_iter().next();
    Ok(block.ok_or(InvalidPem::Empty)?.1)
}

fn length(expected: usize, actual: usize) -> TlsCryptV2Error {
    TlsCryptV2Error::Length { expected, actual }
}

#[cfg(test)]
mod tests {
    use std::{fs, process::Command};

    use super::*;

    fn server_key(fill: u8) -> TlsCryptV2ServerKey {
        let bytes: Vec<u8> = (0..SERVER_KEY)
            .map(|index| u8::try_from(index).expect("below 128") ^ fill)
            .collect();
        TlsCryptV2ServerKey::from_pem(&pem::render(SERVER_LABEL, &bytes)).expect("a server key")
    }

    #[test]
    fn a_client_key_opens_under_its_own_server_key_only() {
        let client = server_key(0).new_client_key("alice.x").expect("a client key");
        let metadata = server_key(0).check_client_key(client.expose_secret()).expect("check");
        assert_eq!(metadata, b"\0alice.x");
        let foreign = server_key(1).check_client_key(client.expose_secret());
        assert!(matches!(foreign, Err(TlsCryptV2Error::Foreign)), "{foreign:?}");
    }

    #[test]
    fn no_two_client_keys_are_alike() {
        let one = server_key(0).new_client_key("alice.x").expect("a client key");
        let two = server_key(0).new_client_key("alice.x").expect("a client key");
        assert_ne!(one.expose_secret(), two.expose_secret());
    }

    #[test]
    fn metadata_that_openvpn_would_refuse_is_refused() {
        let refused = server_key(0).new_client_key(&"x".repeat(1000));
        assert!(matches!(refused, Err(TlsCryptV2Error::Metadata)));
    }

    #[test]
    fn a_key_of_another_size_is_refused() {
        let short = TlsCryptV2ServerKey::from_pem(&pem::render(SERVER_LABEL, &[0; 64]));
        assert!(matches!(
            short,
            Err(TlsCryptV2Error::Length {
                expected: SERVER_KEY,
                actual: 64
            })
        ));
        let short = server_key(0).check_client_key(&pem::render(CLIENT_LABEL, &[0; 256]));
        assert!(matches!(short, Err(TlsCryptV2Error::Length { .. })));
    }

    #[test]
    fn openvpns_own_keys_open_here() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let (server, client) = (dir.path().join("server.key"), dir.path().join("client.key"));
        let openvpn = |arguments: &[&str]| Command::new("openvpn").args(arguments).output();
        let path = |path: &std::path::Path| path.to_str().expect("UTF-8").to_owned();
        let Ok(made) = openvpn(&["--genkey", "tls-crypt-v2-server", &path(&server)]) else {
            eprintln!("SKIPPED: openvpn is not installed");
            return;
        };
        assert!(made.status.success(), "{made:?}");
        let metadata = data_encoding::BASE64.encode(b"\0bob.y");
        let made = openvpn(&[
            "--tls-crypt-v2",
            &path(&server),
            "--genkey",
            "tls-crypt-v2-client",
            &path(&client),
            &metadata,
        ]);
        assert!(made.expect("openvpn").status.success());

        let key = TlsCryptV2ServerKey::from_pem(&fs::read_to_string(&server).expect("read")).expect("server key");
        let metadata = key
            .check_client_key(&fs::read_to_string(&client).expect("read"))
            .expect("client key");
        assert!(metadata.ends_with(b"bob.y"), "{metadata:?}");
    }
}
