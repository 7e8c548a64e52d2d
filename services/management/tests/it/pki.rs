//! The certificate authority, checked with other tools than the one that made it.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Barrier;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use secrecy::ExposeSecret as _;
use vpnmanager_management::pki::{InvalidCsr, OpenPkiError, Pki, PkiError};
use vpnmanager_nats::ids::{CommonName, NodeId};
use vpnmanager_nats::security::bus_files::init::BusInit;

use crate::stack::csr;

fn name() -> CommonName {
    "alice.k3nq6zt5m7wd2xya".parse().expect("a common name")
}

fn open(dir: &Path) -> Pki {
    Pki::load_or_create(dir).expect("an authority")
}

/// Runs openssl with these arguments. If it is not installed, prints that and returns `None`.
fn openssl(arguments: &[&str]) -> Option<Output> {
    match Command::new("openssl").args(arguments).output() {
        Ok(output) => Some(output),
        Err(error) => {
            eprintln!("SKIPPED: openssl cannot be run: {error}");
            None
        }
    }
}

#[test]
fn openssl_accepts_client_and_server_each_for_its_purpose_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let pki = open(&folder.path().join("pki"));
    let node: NodeId = "x".repeat(63).parse().expect("a server id");
    let files = [
        ("ca.pem", pki.ca_pem().to_owned()),
        ("client.pem", pki.sign_client(&name(), &csr()).expect("signed").pem),
        ("server.pem", pki.sign_server(&node, &csr()).expect("signed").pem),
    ];
    for (file, text) in &files {
        std::fs::write(folder.path().join(file), text).expect("written");
    }
    let path = |file: &str| folder.path().join(file).display().to_string();
    for (purpose, file, accepted) in [
        ("sslclient", "client.pem", true),
        ("sslserver", "server.pem", true),
        ("sslclient", "server.pem", false),
        ("sslserver", "client.pem", false),
    ] {
        let arguments = [
            "verify",
            "-x509_strict",
            "-purpose",
            purpose,
            "-CAfile",
            &path("ca.pem"),
            &path(file),
        ];
        let Some(output) = openssl(&arguments) else { return };
        assert_eq!(output.status.success(), accepted, "{file} as {purpose}: {output:?}");
    }
    let Some(output) = openssl(&[
        "x509",
        "-noout",
        "-subject",
        "-nameopt",
        "multiline",
        "-in",
        &path("server.pem"),
    ]) else {
        return;
    };
    let subject = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        subject.contains(&format!("= {}xxx", pki.server_name_prefix())),
        "{subject}"
    );
}

#[test]
fn what_is_recorded_is_what_the_certificate_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let pki = open(folder.path()).with_client_validity(Duration::from_secs(3600));
    let request = csr();

    let signed = pki.sign_client(&name(), &request).expect("signed");

    let (_, pem) = x509_parser::pem::parse_x509_pem(signed.pem.as_bytes()).expect("PEM");
    let certificate = pem.parse_x509().expect("a certificate");
    assert_eq!(certificate.subject().to_string(), format!("CN={}", name()));
    assert_eq!(
        certificate.validity().not_before.timestamp(),
        signed.not_before.timestamp()
    );
    assert_eq!(
        certificate.validity().not_after.timestamp(),
        signed.not_after.timestamp()
    );
    assert_eq!(certificate.raw_serial_as_string().replace(':', ""), signed.serial_hex);
    assert_eq!(signed.serial_hex.len(), 32);
    assert!(certificate.raw_serial()[0] < 0x80, "the serial number is positive");
    assert_eq!(
        pki.csr_public_key_sha256(&request).expect("valid"),
        signed.public_key_sha256
    );
    let left = signed.not_after - Utc::now();
    assert!(
        left >= TimeDelta::minutes(59) && left <= TimeDelta::minutes(61),
        "{left}"
    );
    assert_ne!(
        signed.serial_hex,
        pki.sign_client(&name(), &request).expect("signed").serial_hex
    );
}

/// A client whose clock is hours behind must log in on a fleet that was made this minute, so each certificate that it meets counts.
#[test]
fn everything_that_is_signed_is_valid_since_a_day_ago() {
    let folder = tempfile::tempdir().expect("a folder");
    let pki = open(&folder.path().join("pki"));
    let node: NodeId = "node-1".parse().expect("a server id");
    let bus_dir = folder.path().join("bus");
    let init = BusInit {
        dir: bus_dir.clone(),
        listen: "127.0.0.1:4222".parse().expect("an address"),
        monitor: "127.0.0.1:8222".parse().expect("an address"),
        store_dir: folder.path().join("store"),
        hosts: Vec::new(),
        allow_plaintext: false,
        max_store: BusInit::DEFAULT_MAX_STORE,
    };
    init.run().expect("a bus");
    let of_bus = |file: &str| std::fs::read_to_string(bus_dir.join(file)).expect("readable");
    for (whose, pem) in [
        ("the CA", pki.ca_pem().to_owned()),
        ("a server", pki.sign_server(&node, &csr()).expect("signed").pem),
        ("a client", pki.sign_client(&name(), &csr()).expect("signed").pem),
        ("the CA of the bus", of_bus("ca.pem")),
        ("the bus", of_bus("server.pem")),
    ] {
        let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).expect("PEM");
        let begins = pem
            .parse_x509()
            .expect("a certificate")
            .validity()
            .not_before
            .timestamp();
        let age = TimeDelta::seconds(Utc::now().timestamp() - begins);
        // Those of the bus begin with a day.
        let (least, most) = (TimeDelta::hours(24), TimeDelta::hours(49));
        assert!(age >= least && age <= most, "{whose}: {age}");
    }
}

#[test]
fn nothing_but_the_key_is_taken_from_a_request() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
    let mut wishes = rcgen::CertificateParams::new(vec!["evil.example.org".to_owned()]).expect("parameters");
    wishes.distinguished_name.push(rcgen::DnType::CommonName, "DEFAULT");
    wishes.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    wishes.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let request = wishes.serialize_request(&key).expect("a request").pem().expect("PEM");

    let signed = open(folder.path()).sign_client(&name(), &request).expect("signed");

    let (_, pem) = x509_parser::pem::parse_x509_pem(signed.pem.as_bytes()).expect("PEM");
    let certificate = pem.parse_x509().expect("a certificate");
    assert_eq!(certificate.subject().to_string(), format!("CN={}", name()));
    assert!(!certificate.is_ca());
    assert!(certificate.subject_alternative_name().expect("extensions").is_none());
    let usage = certificate
        .extended_key_usage()
        .expect("extensions")
        .expect("a usage")
        .value
        .clone();
    assert!(usage.client_auth && !usage.server_auth, "{usage:?}");
}

#[test]
fn requests_that_prove_nothing_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let pki = open(folder.path());
    let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).expect("a key");
    let p384 = rcgen::CertificateParams::default()
        .serialize_request(&p384)
        .expect("a request")
        .pem()
        .expect("PEM");
    let (_, whole) = x509_parser::pem::parse_x509_pem(csr().as_bytes()).expect("PEM");
    let relabelled = csr().replace("CERTIFICATE REQUEST", "CERTIFICATE");
    let cases = [
        (String::new(), InvalidCsr::Malformed),
        ("not PEM".to_owned(), InvalidCsr::Malformed),
        (relabelled, InvalidCsr::Malformed),
        (p384, InvalidCsr::KeyType),
        (pki.ca_pem().to_owned(), InvalidCsr::Malformed),
    ];
    for (request, expected) in cases {
        let Err(PkiError::InvalidCsr(reason)) = pki.sign_client(&name(), &request) else {
            panic!("signed: {request}")
        };
        assert_eq!(reason, expected, "{request}");
    }
    // Nothing is signed whichever bit is flipped, in the signature or in the signed part.
    for place in (0..whole.contents.len()).step_by(7) {
        let mut altered = whole.contents.clone();
        altered[place] ^= 0x01;
        let body = data_encoding::BASE64.encode(&altered);
        let request = format!("-----BEGIN CERTIFICATE REQUEST-----\n{body}\n-----END CERTIFICATE REQUEST-----\n");
        assert!(pki.sign_client(&name(), &request).is_err(), "byte {place}");
    }
}

#[test]
fn processes_that_start_at_once_get_the_same_authority() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("pki");
    let together = Barrier::new(8);
    let seen: Vec<(String, String)> = std::thread::scope(|scope| {
        let started: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    together.wait();
                    let pki = open(&dir);
                    (
                        pki.ca_fingerprint().to_owned(),
                        pki.tls_crypt_v2_pem().expose_secret().to_owned(),
                    )
                })
            })
            .collect();
        started
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .collect()
    });
    assert!(
        seen.windows(2).all(|pair| pair[0] == pair[1]),
        "more than one authority"
    );
    assert_eq!(open(&dir).ca_fingerprint(), seen[0].0, "another one after a restart");
}

#[test]
fn an_authority_is_never_made_anew_over_what_is_left_of_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let before = open(folder.path()).ca_fingerprint().to_owned();
    for missing in ["ca.key", "tls-crypt-v2.key"] {
        let (path, aside) = (folder.path().join(missing), folder.path().join("aside"));
        std::fs::rename(&path, &aside).expect("moved");
        let error = Pki::load_or_create(folder.path()).expect_err("incomplete");
        assert!(
            matches!(&error, OpenPkiError::Incomplete { missing: found, .. } if *found == [missing]),
            "{error}"
        );
        std::fs::rename(&aside, &path).expect("moved back");
    }
    assert_eq!(open(folder.path()).ca_fingerprint(), before);
}

#[test]
fn a_creation_that_was_cut_short_is_completed_and_foreign_files_are_refused() {
    let (one, other) = (
        tempfile::tempdir().expect("a folder"),
        tempfile::tempdir().expect("a folder"),
    );
    let (first, second) = (open(one.path()), open(other.path()));
    assert_ne!(first.ca_fingerprint(), second.ca_fingerprint());
    assert_ne!(first.server_name_prefix(), second.server_name_prefix());
    let key = std::fs::read(one.path().join("ca.key")).expect("readable");

    std::fs::remove_file(one.path().join("ca.pem")).expect("removed");
    let tls_crypt = open(one.path()).tls_crypt_v2_pem().expose_secret().to_owned();
    assert_eq!(tls_crypt, first.tls_crypt_v2_pem().expose_secret());
    assert_eq!(std::fs::read(one.path().join("ca.key")).expect("readable"), key);

    std::fs::copy(other.path().join("ca.pem"), one.path().join("ca.pem")).expect("copied");
    let error = Pki::load_or_create(one.path()).expect_err("two fleets");
    assert!(error.to_string().contains("ca.key is not the key of ca.pem"), "{error}");
}

#[test]
fn the_tls_crypt_key_is_one_that_openvpn_takes() {
    let folder = tempfile::tempdir().expect("a folder");
    let pki = open(folder.path());
    let text = pki.tls_crypt_v2_pem().expose_secret();
    assert!(
        text.starts_with("-----BEGIN OpenVPN tls-crypt-v2 server key-----\n"),
        "wrong label"
    );
    let server = folder.path().join("tls-crypt-v2.key").display().to_string();
    let client = folder.path().join("client.key").display().to_string();
    let arguments = [
        "--tls-crypt-v2",
        server.as_str(),
        "--genkey",
        "tls-crypt-v2-client",
        client.as_str(),
    ];
    match Command::new("openvpn").args(arguments).output() {
        Ok(output) => assert!(output.status.success(), "{output:?}"),
        Err(error) => eprintln!("SKIPPED: openvpn cannot be run: {error}"),
    }
}

#[test]
fn secrets_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("pki");
    let pki = open(&dir);
    let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    assert_eq!(
        (mode(&dir.join("ca.key")), mode(&dir.join("tls-crypt-v2.key"))),
        (0o600, 0o600)
    );
    assert!(!format!("{pki:?}").contains("KEY"), "Debug shows a key");
}

#[test]
fn the_example_in_the_description_is_a_request_that_is_signed() {
    let folder = tempfile::tempdir().expect("a folder");
    let spec = vpnmanager_management::api::spec();
    let example = spec
        .document()
        .pointer("/components/schemas/Registration/example/csr")
        .and_then(|csr| csr.as_str());
    open(folder.path())
        .sign_client(&name(), example.expect("an example"))
        .expect("signed");
}
