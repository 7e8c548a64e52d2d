//! What an old server left: one file of it from outside, among others that are well.

#![no_main]

use std::{fs, path::Path};

use chrono::{DateTime, Datelike as _, Utc};
use libfuzzer_sys::fuzz_target;
use vpnmanager_adopt::{found::Found, read};

/// The file that the input is, by its first byte.
const FILES: [&str; 8] = [
    "pki/index.txt",
    "users.csv",
    "users.db",
    "server.conf",
    "pki/ca.crt",
    "pki/crl.pem",
    "pki/issued/alice.crt",
    "ccd/alice",
];
const WELL: [(&str, &str); 3] = [
    ("pki/index.txt", "V\t20500101000000Z\t\t02\tunknown\t/CN=alice\n"),
    ("pki/serial", "03\n"),
    ("users.csv", "username,active\nbob,true\n"),
];

fuzz_target!(|input: &[u8]| {
    let Some((file, content)) = input.split_first() else {
        return;
    };
    let source = tempfile::tempdir().expect("a folder");
    for (name, text) in WELL {
        write(&source.path().join(name), text.as_bytes());
    }
    let file = FILES[usize::from(*file) % FILES.len()];
    write(&source.path().join(file), content);
    for place in [source.path().to_owned(), source.path().join(file)] {
        if let Ok(found) = read(&place) {
            check(&found);
        }
    }
});

fn write(file: &Path, content: &[u8]) {
    fs::create_dir_all(file.parent().expect("a folder")).expect("made");
    fs::write(file, content).expect("written");
}

fn check(found: &Found) {
    for user in &found.users {
        assert!(!user.name.is_empty());
        let times = [user.created_at, user.expires_at, user.last_access];
        assert!(times.iter().flatten().all(is_bounded));
        for certificate in &user.certificates {
            assert!(is_bounded(&certificate.not_after));
        }
    }
    let mut places = found.users.iter().map(|user| &user.place);
    assert!(places.all(|place| !place.file.starts_with('/') && !place.file.contains("..")));
}

fn is_bounded(time: &DateTime<Utc>) -> bool {
    (1970..=9999).contains(&time.year())
}
