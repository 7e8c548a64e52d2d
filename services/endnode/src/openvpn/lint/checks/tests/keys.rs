//! The private key of the server.

use super::*;

#[test]
fn a_key_that_is_not_the_certificates_is_an_error_wherever_it_stands() {
    let place = Place::new();
    let other = rcgen::KeyPair::generate().expect("a key").serialize_pem();
    fs::write(place.path("other.key"), &other).expect("written");
    for lines in ["key other.key".to_owned(), format!("<key>\n{other}</key>")] {
        let found = place.with(&lines);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].severity, Severity::Error, "{found:?}");
        let mends = format!("set `key {}`", place.path("node.key").display());
        assert!(found[0].message.starts_with(&mends), "{found:?}");
    }
    // A pair of another authority fits together, and no client accepts it.
    let key = rcgen::KeyPair::generate().expect("a key");
    fs::write(place.path("pair.crt"), certificate_for("pair", &key)).expect("written");
    fs::write(place.path("pair.key"), key.serialize_pem()).expect("written");
    assert_eq!(place.with("cert pair.crt\nkey pair.key").len(), 2);

    let own = fs::read_to_string(place.path("node.key")).expect("read");
    let parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
    for text in [own.clone(), format!("{parameters}{own}")] {
        assert_eq!(place.with(&format!("<key>\n{text}</key>")), []);
    }
}

#[test]
fn of_a_key_with_a_passphrase_nothing_is_seen() {
    let place = Place::new();
    for (begin, end) in [
        (
            "-----BEGIN ENCRYPTED PRIVATE KEY-----",
            "-----END ENCRYPTED PRIVATE KEY-----",
        ),
        (
            "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n",
            "-----END EC PRIVATE KEY-----",
        ),
    ] {
        let found = place.with(&format!("<key>\n{begin}\nAAAA\n{end}\n</key>"));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].severity, Severity::Warning, "{found:?}");
        assert!(found[0].message.contains("passphrase"), "{found:?}");
    }
}
