//! The commands, as operators and the timer run them.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use age::x25519;
use secrecy::ExposeSecret as _;

use super::{PASSPHRASE, Site, empty_database};
use crate::database::{connect, number};
use crate::process::{run, text};

/// Settings of the saved stack, for the environment.
fn environment(site: &Site) -> Vec<(&'static str, String)> {
    let config = &site.stack.config;
    let url = config.database.url.as_ref().expect("a URL").expose_secret().to_owned();
    let path = |path: &Path| path.display().to_string();
    vec![
        ("DATABASE_URL", url),
        ("PKI_DIR", path(&config.pki.dir)),
        ("BUS_DIR", path(&config.bus.dir)),
        ("NATS_URL", config.bus.url.join(",")),
    ]
}

fn borrowed<'a>(env: &'a [(&'static str, String)], more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let all = env.iter().map(|(name, value)| (*name, value.as_str()));
    all.chain(more.iter().copied()).collect()
}

#[tokio::test]
async fn a_folder_keeps_the_newest_and_the_whole_way_works_with_a_passphrase_in_a_file() {
    let site = Site::start().await;
    site.stack.enrol("node-1").await;
    site.stack.create_user("alice").await;
    let secret = site.path("passphrase");
    fs::write(&secret, format!("{PASSPHRASE}\n")).expect("written");
    let secret = secret.display().to_string();
    let folder = site.path("backups");
    fs::create_dir(&folder).expect("made");
    // Others use it, too.
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("shared");
    for old in ["vpnmanager-20200101T000000Z.age", "vpnmanager-20200102T000000Z.age"] {
        fs::write(folder.join(old), "old").expect("written");
    }
    let dir = folder.display().to_string();
    let env = environment(&site);
    let with_secret = borrowed(&env, &[("BACKUP_PASSPHRASE_FILE", &secret)]);

    let saved = run(&["backup", "--dir", &dir, "--keep", "2"], &with_secret).await;
    assert_eq!(saved.status.code(), Some(0), "{}", text(&saved.stderr));
    let told = text(&saved.stdout);
    assert!(told.contains("1 users") && told.contains("verified"), "{told}");
    assert!(
        told.contains("deleted ") && told.contains("vpnmanager-20200101T000000Z.age"),
        "{told}"
    );
    let mut left: Vec<String> = fs::read_dir(&folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    left.sort();
    assert_eq!(left.len(), 2);
    let mode = fs::metadata(&folder).expect("a folder").permissions().mode();
    assert_eq!(mode & 0o777, 0o755);
    let newest = folder.join(&left[1]).display().to_string();

    let checked = run(&["restore", "--check", "--from", &newest], &with_secret).await;
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked.stderr));
    assert!(text(&checked.stdout).contains(": sound"), "{}", text(&checked.stdout));

    let url = empty_database().await;
    let (pki, bus) = (site.path("new/pki"), site.path("new/bus"));
    let settings = site.path("settings.json").display().to_string();
    let (pki, bus) = (pki.display().to_string(), bus.display().to_string());
    let new = [
        ("DATABASE_URL", url.as_str()),
        ("PKI_DIR", &pki),
        ("BUS_DIR", &bus),
        ("BACKUP_PASSPHRASE_FILE", &secret),
    ];
    let restored = run(&["restore", "--from", &newest, "--settings-to", &settings], &new).await;
    assert_eq!(restored.status.code(), Some(0), "{}", text(&restored.stderr));
    assert!(text(&restored.stdout).contains("restore-review"));
    assert_eq!(number(&connect(&url).await, "SELECT count(*) FROM users").await, 1);
    let settings = fs::read_to_string(settings).expect("settings");
    assert!(!settings.contains(PASSPHRASE), "the passphrase is in the settings");
    // What was in the environment is in the file.
    let settings: serde_json::Value = serde_json::from_str(&settings).expect("JSON");
    assert_eq!(settings["pki"]["dir"], site.stack.config.pki.dir.display().to_string());
    assert!(settings["database"]["url"].is_string(), "{settings}");
}

#[tokio::test]
async fn a_backup_for_public_keys_needs_no_passphrase_and_opens_with_a_secret_key() {
    let site = Site::start().await;
    let identity = x25519::Identity::generate();
    let keys = site.path("keys.txt");
    fs::write(&keys, identity.to_string().expose_secret()).expect("written");
    let (keys, public) = (keys.display().to_string(), identity.to_public().to_string());
    let file = site.file().display().to_string();
    let env = environment(&site);
    let env = borrowed(&env, &[]);

    let saved = run(&["backup", "--out", &file, "--recipient", &public], &env).await;
    assert_eq!(saved.status.code(), Some(0), "{}", text(&saved.stderr));
    assert!(text(&saved.stdout).contains("not verified"), "{}", text(&saved.stdout));
    let checked = run(&["restore", "--check", "--from", &file, "--identity", &keys], &env).await;
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked.stderr));

    let again = run(&["backup", "--out", &file, "--recipient", &public], &env).await;
    assert_eq!(again.status.code(), Some(1));
    assert!(
        text(&again.stderr).contains("is there already"),
        "{}",
        text(&again.stderr)
    );
}

#[tokio::test]
async fn mistakes_are_told_before_anything_is_done() {
    let missing = run(&["backup", "--out", "x.age"], &[]).await;
    assert_eq!(missing.status.code(), Some(2));
    assert!(
        text(&missing.stderr).contains("BACKUP_PASSPHRASE"),
        "{}",
        text(&missing.stderr)
    );
    let short = run(&["backup", "--out", "x.age"], &[("BACKUP_PASSPHRASE", "short")]).await;
    assert_eq!(short.status.code(), Some(2));
    assert!(text(&short.stderr).contains("16 characters"), "{}", text(&short.stderr));
    let blank = run(
        &["backup", "--out", "x.age"],
        &[("BACKUP_PASSPHRASE", "a passphrase of some length ")],
    )
    .await;
    assert_eq!(blank.status.code(), Some(2));
    assert!(text(&blank.stderr).contains("white space"), "{}", text(&blank.stderr));
    for arguments in [
        &["backup"][..],
        &["backup", "--out", "a", "--dir", "b"],
        &["backup", "--out", "a", "--keep", "3"],
        &["backup", "--dir", "a", "--keep", "0"],
        &["restore"],
        &["restore-decide"],
        &["restore-decide", "--keep", "both"],
    ] {
        let wrong = run(arguments, &[]).await;
        assert_eq!(wrong.status.code(), Some(2), "{arguments:?}");
    }
}

#[tokio::test]
async fn a_wrong_passphrase_changes_nothing() {
    let site = Site::start().await;
    site.save().await.expect("saved");
    let file = site.file().display().to_string();
    let url = empty_database().await;
    let new = site.path("new").display().to_string();
    let env = [
        ("DATABASE_URL", url.as_str()),
        ("PKI_DIR", &new),
        ("BUS_DIR", &new),
        ("BACKUP_PASSPHRASE", "another passphrase of some length"),
    ];
    let refused = run(&["restore", "--from", &file], &env).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        text(&refused.stderr).contains("the passphrase is not that of"),
        "{}",
        text(&refused.stderr)
    );
    assert!(!site.path("new").exists());
}
