use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384};
use secrecy::ExposeSecret as _;

use super::*;
use crate::tls_crypt_v2::new_server_key;

/// A credential with everything that belongs to it.
struct Site {
    common_name: CommonName,
    certificate: String,
    key: String,
    tls_crypt_v2: String,
    server_key: TlsCryptV2ServerKey,
}

impl Site {
    fn new() -> Self {
        let server_key = TlsCryptV2ServerKey::from_pem(new_server_key().expose_secret()).expect("a server key");
        let common_name: CommonName = "alice.rcikzj5wfmjtj6yy".parse().expect("a common name");
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
        Self {
            certificate: certificate(&key),
            key: key.serialize_pem(),
            tls_crypt_v2: client_key(&server_key, common_name.as_str()),
            common_name,
            server_key,
        }
    }

    fn check(&self, certificate: &str, key: &str, tls_crypt_v2: &str) -> Result<Parts, UnfitPart> {
        let sent = Sent {
            certificate,
            key,
            tls_crypt_v2,
        };
        let known = Known {
            common_name: &self.common_name,
            certificate: &self.certificate,
            server_key: &self.server_key,
        };
        check(&sent, &known)
    }

    /// With one part changed by each of these, nothing is taken.
    fn refuses(&self, change: &dyn Fn(&str) -> String) {
        let (certificate, key, crypt) = (&self.certificate, &self.key, &self.tls_crypt_v2);
        for refused in [
            self.check(&change(certificate), key, crypt),
            self.check(certificate, &change(key), crypt),
            self.check(certificate, key, &change(crypt)),
        ] {
            assert!(refused.is_err(), "taken: {}", change("..."));
        }
    }
}

fn certificate(key: &KeyPair) -> String {
    let params = CertificateParams::new(vec!["alice".to_owned()]).expect("parameters");
    params.self_signed(key).expect("a certificate").pem()
}

fn client_key(server_key: &TlsCryptV2ServerKey, metadata: &str) -> String {
    let made = server_key.new_client_key(metadata).expect("a client key");
    made.expose_secret().to_owned()
}

#[test]
fn what_an_honest_node_sends_is_taken_as_it_is() {
    let site = Site::new();
    let parts = site
        .check(&site.certificate, &site.key, &site.tls_crypt_v2)
        .expect("taken");
    assert_eq!(parts.certificate, site.certificate);
    assert_eq!(
        parts.key.expose_secret(),
        site.key,
        "the text of the node and ours are one"
    );
    assert_eq!(parts.tls_crypt_v2.expose_secret(), site.tls_crypt_v2);
    assert_eq!(format!("{parts:?}"), "Parts([REDACTED])");
}

#[test]
fn directives_of_openvpn_ride_along_nowhere() {
    let site = Site::new();
    let evil = "script-security 2\nup \"/bin/sh -c id\"\n";
    let changes: &[&dyn Fn(&str) -> String] = &[
        &|_| evil.to_owned(),
        &|text| format!("{evil}{text}"),
        &|text| format!("{text}{evil}"),
        &|text| format!("{text}</key>\n</cert>\n</tls-crypt-v2>\n{evil}"),
        &|text| text.replacen('\n', &format!("\n</key>\n{evil}<key>\n"), 2),
        &|text| text.replacen('\n', &format!("\r\n{evil}"), 1),
        &|text| text.replacen('\n', "\nProc-Type: 4,ENCRYPTED\n", 1),
        &|text| text.replace('\n', "\r\n"),
        &|text| text.replace('\n', "\r"),
        &|text| text.replace('\n', "\u{2028}"),
        &|text| format!("{text}{text}"),
        &|text| format!("\u{feff}{text}"),
        &|text| format!("{text}\0"),
        &|text| format!("{text} "),
        &|text| text.replacen("-----BEGIN", "----- BEGIN", 1),
        &|text| text.replacen("-----\n", "-----\n\n", 1),
        &|text| "A".repeat(1_000_000) + text,
        &|text| text.replacen('\n', &format!("\n{}\n", "A".repeat(1_000_000)), 1),
        &|_| String::new(),
    ];
    for change in changes {
        site.refuses(change);
    }
}

#[test]
fn parts_of_somebody_else_are_refused() {
    let (site, other) = (Site::new(), Site::new());
    let other_certificate = site.check(&other.certificate, &other.key, &site.tls_crypt_v2);
    assert!(matches!(other_certificate, Err(UnfitPart::OtherCertificate)));
    let other_key = site.check(&site.certificate, &other.key, &site.tls_crypt_v2);
    assert!(matches!(other_key, Err(UnfitPart::OtherKey)));
    let other_fleet = site.check(&site.certificate, &site.key, &other.tls_crypt_v2);
    assert!(matches!(
        other_fleet,
        Err(UnfitPart::TlsCryptV2(TlsCryptV2Error::Foreign))
    ));
    for metadata in ["bob.aaaaaaaaaaaaaaaa", "", "alice.rcikzj5wfmjtj6yy\nup x"] {
        let foreign = client_key(&site.server_key, metadata);
        let refused = site.check(&site.certificate, &site.key, &foreign);
        assert!(matches!(refused, Err(UnfitPart::OtherTlsCryptV2)), "{metadata}");
    }
}

#[test]
fn a_key_of_another_kind_or_form_is_refused() {
    let site = Site::new();
    let p384 = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).expect("a key");
    let document = pem::parse_exactly(&site.key, PRIVATE_KEY).expect("a key");
    let longer = [document.as_slice(), b"\nup evil\n"].concat();
    for key in [
        p384.serialize_pem(),
        site.key.replace("PRIVATE KEY", "EC PRIVATE KEY"),
        site.key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"),
        pem::render(PRIVATE_KEY, &document[..document.len() - 1]),
        pem::render(PRIVATE_KEY, &longer),
        pem::render(PRIVATE_KEY, b"key"),
        site.certificate.clone(),
        site.tls_crypt_v2.clone(),
    ] {
        let refused = site.check(&site.certificate, &key, &site.tls_crypt_v2);
        assert!(
            matches!(refused, Err(UnfitPart::Key | UnfitPart::Pem { .. })),
            "{refused:?} of {key}"
        );
    }
}

#[test]
fn a_tls_crypt_key_beyond_the_bounds_of_openvpn_is_refused() {
    let site = Site::new();
    for bytes in [0, 1, 255, 256, 545, 1281, 1400] {
        let key = pem::render(CLIENT_LABEL, &vec![0; bytes]);
        let refused = site.check(&site.certificate, &site.key, &key);
        assert!(
            matches!(
                refused,
                Err(UnfitPart::TlsCryptV2(_) | UnfitPart::TooLong { .. } | UnfitPart::Pem { .. })
            ),
            "{bytes}: {refused:?}"
        );
    }
    let mut altered = pem::parse_exactly(&site.tls_crypt_v2, CLIENT_LABEL).expect("a key");
    altered[3] ^= 1;
    let refused = site.check(&site.certificate, &site.key, &pem::render(CLIENT_LABEL, &altered));
    assert!(matches!(refused, Err(UnfitPart::TlsCryptV2(TlsCryptV2Error::Foreign))));
}

proptest::proptest! {
    /// Whatever a node sends, nothing panics, and what is taken is the credential's own.
    #[test]
    fn nothing_but_the_credentials_own_parts_is_taken(
        part in 0..3_usize,
        at in 0..300_usize,
        inserted in "[ -~\r\n\t\u{0}\u{85}]{0,40}",
        cut in 0..3_usize,
    ) {
        let site = Site::new();
        let mut parts = [site.certificate.clone(), site.key.clone(), site.tls_crypt_v2.clone()];
        let at = at.min(parts[part].len());
        let end = (at + cut).min(parts[part].len());
        parts[part].replace_range(at..end, &inserted);
        let [certificate, key, crypt] = &parts;
        if let Ok(taken) = site.check(certificate, key, crypt) {
            proptest::prop_assert_eq!(&taken.certificate, &site.certificate);
            proptest::prop_assert_eq!(taken.key.expose_secret(), &site.key);
            proptest::prop_assert_eq!(taken.tls_crypt_v2.expose_secret(), &site.tls_crypt_v2);
        }
    }
}
