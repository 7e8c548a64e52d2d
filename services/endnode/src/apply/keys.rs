//! Making keys on this node.

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use vpnmanager_nats::ids::CommonName;

use crate::journal::StoredKey;

/// A new ECDSA P-256 key with the request to certify it under this name.
pub(crate) fn make_key(common_name: &str) -> Result<StoredKey, rcgen::Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    let csr = params.serialize_request(&key)?.pem()?;
    Ok(StoredKey {
        key: key.serialize_pem().into(),
        csr,
        certificate: None,
        tls_crypt_v2: None,
    })
}

/// Keys for all of these, made on two threads.
pub(super) async fn make_keys(names: Vec<CommonName>) -> Result<Vec<(CommonName, StoredKey)>, rcgen::Error> {
    let half = names.len() / 2;
    let (first, second) = (names[..half].to_vec(), names[half..].to_vec());
    let make = |names: Vec<CommonName>| {
        tokio::task::spawn_blocking(move || {
            let pairs = names
                .into_iter()
                .map(|name| make_key(name.as_str()).map(|key| (name, key)));
            pairs.collect::<Result<Vec<_>, _>>()
        })
    };
    let (first, second) = tokio::join!(make(first), make(second));
    // Only a panic or the end of the process can stop the threads; either way no key was made.
    let made = |joined: Result<Result<Vec<_>, rcgen::Error>, _>| joined.unwrap_or(Err(rcgen::Error::RingUnspecified));
    let mut keys = made(first)?;
    keys.extend(made(second)?);
    Ok(keys)
}
