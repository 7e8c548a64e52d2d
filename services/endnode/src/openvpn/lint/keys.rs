//! Whether the server has the keys that the profiles of users are made for.

use std::{fs, io::ErrorKind, path::Path};

use chrono::Utc;
use rcgen::KeyPair;
use vpnmanager_openvpn_conf::{Directives, Source};
use x509_parser::pem::{Pem, parse_x509_pem};

use super::{
    expected::Expected,
    finding::{Finding, error, warning},
    running::Release,
};
use crate::server_certificate::Validity;

pub(super) fn check_keys(conf: &Directives, expected: &Expected, findings: &mut Vec<Finding>) {
    check_certificates(conf, expected, findings);
    findings.extend(finding_of_key(conf, expected));
    check_tls_crypt_v2(conf, expected, findings);
}

/// From this release on OpenVPN starts without `dh`.
const NEEDS_NO_DH: Release = Release::new(2, 7);

/// `dh none` counts as there.
pub(super) fn check_dh(conf: &Directives, release: Option<Release>, findings: &mut Vec<Finding>) {
    if conf.has("dh") || release.is_some_and(|release| release >= NEEDS_NO_DH) {
        return;
    }
    let finding = if release.is_some() { error } else { warning };
    findings.push(finding("add `dh none`: OpenVPN before 2.7 needs it to start"));
}

fn check_certificates(conf: &Directives, expected: &Expected, findings: &mut Vec<Finding>) {
    let files = [
        ("ca", &expected.ca, "not all certificates of this fleet are accepted"),
        ("cert", &expected.certificate, "clients accept no other certificate"),
    ];
    for (name, file, why) in files {
        let missing = || error(format!("set `{name} {}`: {why}", file.display()));
        match conf.source(name) {
            // The certificates may be elsewhere, where they cannot be read.
            None if conf.has("pkcs12") || (name == "ca" && conf.has("capath")) => {
                findings.push(warning(format!(
                    "whether `{name}` is the fleet's cannot be seen: {why} otherwise"
                )));
            }
            None => findings.push(missing()),
            Some(source) => {
                let (text, wanted) = (text_of(&source), read(file));
                if !holds_certificate(&text, &wanted) {
                    let earlier = (name == "cert").then(|| earlier(&text, &wanted, file)).flatten();
                    findings.push(earlier.unwrap_or_else(missing));
                }
            }
        }
    }
}

/// What is there is a copy of an earlier certificate of the same key, which is valid still: the agent has renewed it in its own file.
fn earlier(text: &str, wanted: &str, file: &Path) -> Option<Finding> {
    let end = Validity::of_pem(text)?.not_after;
    let is_good = public_key_in(text)? == public_key_in(wanted)? && end > Utc::now();
    is_good.then(|| {
        warning(format!(
            "what `cert` has is an earlier certificate of this node, which ends at {end}: set `cert {}`, and let OpenVPN start again before",
            file.display()
        ))
    })
}

/// OpenVPN ends with "Private key does not match the certificate" when the two differ.
fn finding_of_key(conf: &Directives, expected: &Expected) -> Option<Finding> {
    let set = |why: &str| Some(error(format!("set `key {}`: {why}", expected.key.display())));
    let unseen = |why: &str| Some(warning(format!("whether `key` is the node's cannot be seen: {why}")));
    let text = match conf.source("key") {
        Some(Source::Inline(text)) => text,
        Some(Source::File(file)) => match fs::read(&file) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            // OpenVPN may have the rights that the agent lacks.
            Err(denied) if denied.kind() == ErrorKind::PermissionDenied => {
                return unseen(&format!("the agent may not read {}", file.display()));
            }
            Err(lost) => {
                return set(&format!(
                    "OpenVPN needs a private key to start, and {} cannot be read: {lost}",
                    file.display()
                ));
            }
        },
        // What is said of `cert` is true of the key in that file too.
        None if conf.has("pkcs12") => return None,
        None => return set("OpenVPN needs a private key to start"),
    };
    if text.contains("ENCRYPTED") {
        return unseen("it has a passphrase, and OpenVPN asks for it at each start. The node's own key has none");
    }
    // Without the node's certificate there is nothing to compare with, and `cert` has its finding.
    let wanted = public_key_in(&read(&expected.certificate))?;
    match private_key_in(&text) {
        Some(key) if key.public_key_raw() == wanted => None,
        Some(_) => set(
            "what is there is not the private key of the node's certificate, and OpenVPN does not start when they differ",
        ),
        None => {
            set("what is there holds no private key that fits the node's certificate, and OpenVPN needs one to start")
        }
    }
}

fn check_tls_crypt_v2(conf: &Directives, expected: &Expected, findings: &mut Vec<Finding>) {
    let has_key = conf
        .source("tls-crypt-v2")
        .is_some_and(|source| without_blanks(&text_of(&source)) == without_blanks(&read(&expected.tls_crypt_v2)));
    if !has_key {
        let instead = ["tls-auth", "tls-crypt"].into_iter().find(|name| conf.has(name));
        let instead = instead.map_or_else(String::new, |name| format!(" (`{name}` is no substitute)"));
        findings.push(error(format!(
            "set `tls-crypt-v2 {}`{instead}: no profile is heard without it",
            expected.tls_crypt_v2.display()
        )));
    }
}

fn text_of(source: &Source) -> String {
    match source {
        Source::Inline(text) => text.clone(),
        Source::File(path) => read(path),
    }
}

/// What cannot be read holds nothing that fits.
fn read(file: &Path) -> String {
    fs::read(file).map_or_else(|_| String::new(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// Whether all certificates of `wanted` are among those of `text`.
fn holds_certificate(text: &str, wanted: &str) -> bool {
    let certificates = |text: &str| -> Vec<Vec<u8>> {
        let found = Pem::iter_from_buffer(text.as_bytes()).filter_map(Result::ok);
        found.map(|pem| pem.contents).collect()
    };
    let present = certificates(text);
    let wanted = certificates(wanted);
    !wanted.is_empty() && wanted.iter().all(|one| present.contains(one))
}

/// The public key of the first certificate.
fn public_key_in(certificate: &str) -> Option<Vec<u8>> {
    let (_, pem) = parse_x509_pem(certificate.as_bytes()).ok()?;
    let certificate = pem.parse_x509().ok()?;
    Some(certificate.public_key().subject_public_key.data.to_vec())
}

/// The first private key. Something else may stand before it, such as the parameters of its curve.
fn private_key_in(text: &str) -> Option<KeyPair> {
    let mut blocks = Pem::iter_from_buffer(text.as_bytes()).filter_map(Result::ok);
    let key = blocks.find(|pem| pem.label.ends_with("PRIVATE KEY"))?;
    KeyPair::try_from(key.contents.as_slice()).ok()
}

fn without_blanks(text: &str) -> String {
    text.split_whitespace().collect()
}
