use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

use super::*;

fn self_signed(change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["vpn.example".to_owned()]).unwrap();
    change(&mut params);
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn read(chain: &str, key: &str) -> Result<Pair, PairError> {
    Pair::from_pem(chain.as_bytes(), key.as_bytes())
}

#[test]
fn what_is_wrong_with_a_pair_is_told() {
    let (certificate, key) = self_signed(|_| ());
    let (other, _) = self_signed(|_| ());
    let pair = read(&certificate, &key).unwrap();
    assert!(pair.not_before() < Utc::now() && Utc::now() < pair.not_after());

    assert!(matches!(read("", &key), Err(PairError::NoCertificate)));
    assert!(matches!(read(&key, &key), Err(PairError::NoCertificate)));
    let cut_off = certificate.replace("-----END", "");
    assert!(matches!(read(&cut_off, &key), Err(PairError::CertificatePem(_))));
    let none = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(read(none, &key), Err(PairError::Certificate)));
    assert!(matches!(read(&certificate, &certificate), Err(PairError::Key(_))));
    assert!(matches!(read(&other, &key), Err(PairError::Mismatch)));

    let (over, key) = self_signed(|params| params.not_after = date_time_ymd(2020, 1, 1));
    assert!(matches!(read(&over, &key), Err(PairError::Expired(_))));
    let (early, key) = self_signed(|params| params.not_before = date_time_ymd(4000, 1, 1));
    assert!(matches!(read(&early, &key), Err(PairError::Early(_))));
}

#[test]
fn a_chain_that_ends_at_a_ca_has_its_fingerprint() {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_certificate = ca.self_signed(&ca_key).unwrap();
    let issuer = Issuer::new(ca, ca_key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["vpn.example".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &issuer).unwrap();

    let whole = format!("{}{}", leaf.pem(), ca_certificate.pem());
    let expected = HEXLOWER.encode(digest::digest(&digest::SHA256, ca_certificate.der()).as_ref());
    let pair = read(&whole, &key.serialize_pem()).unwrap();
    assert_eq!(pair.root_fingerprint(), Some(expected.as_str()));
    let pair = read(&leaf.pem(), &key.serialize_pem()).unwrap();
    assert_eq!(pair.root_fingerprint(), None);

    let (stranger, _) = self_signed(|params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "another CA");
    });
    let pair = read(&format!("{}{stranger}", leaf.pem()), &key.serialize_pem()).unwrap();
    assert_eq!(pair.root_fingerprint(), None, "it did not sign");
}

#[test]
fn a_ca_that_serves_by_itself_is_nobodys_ca() {
    let (alone, key) = self_signed(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    assert_eq!(read(&alone, &key).unwrap().root_fingerprint(), None);
}

#[test]
fn what_openssl_writes_beside_certificates_and_keys_does_not_matter() {
    let (certificate, key) = self_signed(|_| ());
    let parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
    let in_words = format!("Certificate:\n    Data:\n{certificate}").replace('\n', "\r\n");
    assert!(read(&in_words, &format!("{parameters}{key}")).is_ok());
    assert!(read(&format!("{key}{certificate}"), &format!("{key}{certificate}")).is_ok());
}
