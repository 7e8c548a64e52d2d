//! Certificate requests, certificates, keys and tls-crypt-v2 keys that a node sends: valid ones with a change, and what is none at all.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use secrecy::ExposeSecret as _;
use vpnmanager_fuzz::{edits::Edit, site::Site};
use vpnmanager_profile::{
    pem,
    tls_crypt_v2::{CLIENT_LABEL, TlsCryptV2ServerKey},
};

static SITE: LazyLock<Site> = LazyLock::new(Site::new);
static CSR_KEY: LazyLock<Vec<u8>> = LazyLock::new(|| SITE.pki.csr_public_key_sha256(&SITE.csr).expect("a key"));

fuzz_target!(|input: &[u8]| {
    let Some(edit) = Edit::read(input) else { return };
    match edit.part % 6 {
        0 => with(&edit, &SITE.csr, request),
        1 => with(&edit, &SITE.certificate, |text| {
            taken(text, &SITE.key, &SITE.tls_crypt_v2)
        }),
        2 => with(&edit, &SITE.key, |text| {
            taken(&SITE.certificate, text, &SITE.tls_crypt_v2)
        }),
        3 => with(&edit, &SITE.tls_crypt_v2, |text| {
            taken(&SITE.certificate, &SITE.key, text)
        }),
        4 => with(&edit, SITE.pki.ca_pem(), profile),
        _ => with(&edit, &SITE.tls_crypt_v2, blocks),
    }
});

fn with(edit: &Edit<'_>, text: &str, check: impl Fn(&str)) {
    if let Some(text) = edit.of(text) {
        check(&text);
    }
}

/// A request that is accepted is for the key that signed it, whatever stands around it.
fn request(text: &str) {
    if let Ok(key) = SITE.pki.csr_public_key_sha256(text) {
        assert_eq!(key, *CSR_KEY);
        let signed = SITE.pki.sign_client(&SITE.common_name, text).expect("it was checked");
        assert_eq!(signed.public_key_sha256, key);
    }
}

/// Parts are taken as they should be, or not at all.
fn taken(certificate: &str, key: &str, tls_crypt_v2: &str) {
    if let Ok(parts) = SITE.check(certificate, key, tls_crypt_v2) {
        assert_eq!((certificate, key), (SITE.certificate.as_str(), SITE.key.as_str()));
        assert_eq!(tls_crypt_v2, SITE.tls_crypt_v2);
        assert_eq!(parts.tls_crypt_v2.expose_secret(), tls_crypt_v2);
    }
}

/// Nothing rides along into a profile.
fn profile(text: &str) {
    let honest = SITE.profile(SITE.pki.ca_pem(), &SITE.certificate).expect("a profile");
    for rendered in [
        SITE.profile(text, &SITE.certificate),
        SITE.profile(SITE.pki.ca_pem(), text),
    ] {
        if let Ok(profile) = rendered {
            assert_eq!(directives(profile.expose()), directives(honest.expose()));
        }
    }
}

/// The lines of a profile that are not inside `<ca>` and the like. Inside there is nothing but PEM.
fn directives(profile: &str) -> Vec<&str> {
    let mut inside = false;
    let mut directives = Vec::new();
    for line in profile.lines() {
        let base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
        match line {
            _ if line.starts_with("</") => inside = false,
            _ if line.starts_with('<') => inside = true,
            _ if !inside => directives.push(line),
            _ => assert!(line.starts_with("-----") || line.bytes().all(base64), "{line:?}"),
        }
    }
    directives
}

/// What is read of PEM is written as it was, where it is exactly one block.
fn blocks(text: &str) {
    drop(TlsCryptV2ServerKey::from_pem(text));
    drop(SITE.pki.tls_crypt_v2_server_key().check_client_key(text));
    let labels = ["CERTIFICATE", "PRIVATE KEY", CLIENT_LABEL];
    for (label, bytes) in pem::parse(text, &labels).unwrap_or_default() {
        let written = pem::render(label, &bytes);
        assert_eq!(pem::parse_exactly(&written, label).as_ref(), Ok(&bytes));
    }
    for label in labels {
        if let Ok(bytes) = pem::parse_exactly(text, label) {
            assert_eq!(pem::render(label, &bytes), text);
        }
        if let Ok(normal) = pem::normal(text, label) {
            assert!(pem::parse_exactly(&normal, label).is_ok());
        }
    }
}
