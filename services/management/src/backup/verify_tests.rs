//! Files that are no sound backups.

use std::{fs, io::Write as _, path::PathBuf};

use age::x25519;
use chrono::Utc;
use flate2::{Compression, write::GzEncoder};
use tempfile::TempDir;
use vpnmanager_secret_file::NewFile;

use super::*;
use crate::backup::{
    FORMAT, Seal,
    manifest::HEADING,
    pack::{PRIVATE, Packed, Packing},
};

struct Site {
    folder: TempDir,
    identity: x25519::Identity,
}

impl Site {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            identity: x25519::Identity::generate(),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("backup.age")
    }

    fn seal(&self) -> Seal {
        Seal::Recipients(vec![self.identity.to_public()])
    }

    fn key(&self) -> Key {
        Key::Identities(vec![self.identity.clone()])
    }

    /// Packs a heading and these entries.
    async fn pack(&self, seal: Seal, heading: &serde_json::Value, entries: &[(&str, &[u8])]) {
        let file = NewFile::begin(&self.path()).expect("begun");
        let packing = Packing::begin(file, seal);
        packing.add(HEADING, PRIVATE, heading.to_string().into_bytes()).await;
        for (name, bytes) in entries {
            packing.add(*name, PRIVATE, bytes.to_vec()).await;
        }
        let Packed { file, .. } = packing.finish().await.expect("packed");
        file.keep(&self.path()).expect("kept");
    }

    /// A backup of several chunks of age, byte by byte.
    async fn packed_large(&self) -> Vec<u8> {
        // Random, so that it stays large when it is packed.
        let mut large = vec![0_u8; 200_000];
        aws_lc_rs::rand::fill(&mut large).expect("random");
        self.pack(self.seal(), &heading(), &[ROWS, ("pki/ca.key", &large[..])])
            .await;
        fs::read(self.path()).expect("read")
    }

    /// What another program of age made of these bytes.
    fn write_foreign(&self, bytes: &[u8]) {
        let mut sealed = self.seal().wrap(Vec::new()).expect("begun");
        sealed.write_all(bytes).expect("written");
        fs::write(self.path(), sealed.finish().expect("finished")).expect("written");
    }

    fn error(&self, key: &Key) -> ReadError {
        verify(&self.path(), key).expect_err("refused")
    }
}

fn heading() -> serde_json::Value {
    serde_json::json!({
        "format": FORMAT, "version": "0.1.0", "made_at": Utc::now(), "host": "one", "server_id": "management-1", "migrations": [], "tables": [],
    })
}

const ROWS: (&str, &[u8]) = ("database/users/000001", b"1\talice\n2\tbob\n");

#[tokio::test]
async fn a_sound_backup_tells_what_is_in_it() {
    let site = Site::new();
    let large = vec![7; 300_000];
    site.pack(site.seal(), &heading(), &[ROWS, ("pki/ca.key", &large[..])])
        .await;
    let contents = verify(&site.path(), &site.key()).expect("sound");
    assert_eq!((contents.manifest.rows(), contents.manifest.files()), (2, 1));
    assert_eq!(contents.heading.host, "one");
}

#[tokio::test]
async fn the_passphrase_opens_it_and_another_one_does_not() {
    let site = Site::new();
    let (right, wrong) = ("correct horse battery staple", "incorrect horse battery staple");
    site.pack(Seal::Passphrase(right.into()), &heading(), &[ROWS]).await;
    verify(&site.path(), &Key::Passphrase(right.into())).expect("sound");
    let error = site.error(&Key::Passphrase(wrong.into()));
    assert!(matches!(error, ReadError::Passphrase { .. }), "{error}");
    let error = site.error(&site.key());
    assert!(matches!(error, ReadError::NeedsPassphrase { .. }), "{error}");
}

#[tokio::test]
async fn another_secret_key_does_not_open_it() {
    let site = Site::new();
    site.pack(site.seal(), &heading(), &[ROWS]).await;
    let error = site.error(&Site::new().key());
    assert!(matches!(error, ReadError::Identity { .. }), "{error}");
    let error = site.error(&Key::Passphrase("a passphrase of some length".into()));
    assert!(matches!(error, ReadError::NeedsIdentity { .. }), "{error}");
}

#[tokio::test]
async fn a_flipped_bit_is_found_wherever_it_is() {
    let site = Site::new();
    let sound = site.packed_large().await;
    let step = sound.len() / 40;
    for at in (0..sound.len()).step_by(step).chain([sound.len() - 1]) {
        let mut flipped = sound.clone();
        flipped[at] ^= 1;
        fs::write(site.path(), &flipped).expect("written");
        verify(&site.path(), &site.key()).expect_err("refused");
    }
    // In what comes after the head it is told from a wrong key.
    let mut flipped = sound.clone();
    flipped[sound.len() / 2] ^= 1;
    fs::write(site.path(), &flipped).expect("written");
    let error = site.error(&site.key());
    assert!(matches!(error, ReadError::Damaged { .. }), "{error}");
}

#[tokio::test]
async fn a_file_that_was_cut_off_is_found_wherever_it_ends() {
    let site = Site::new();
    let sound = site.packed_large().await;
    // At the end of a chunk of age, too: 64 KiB and 16 bytes.
    for end in [0, 10, 100, 300, 65_552 + 200, sound.len() / 2, sound.len() - 1] {
        fs::write(site.path(), &sound[..end]).expect("written");
        verify(&site.path(), &site.key()).expect_err("refused");
    }
    // The last one that was written.
    let error = site.error(&site.key());
    assert!(matches!(error, ReadError::Damaged { .. }), "{error}");
}

#[tokio::test]
async fn a_newer_format_is_told_before_anything_else_of_it_is_read() {
    let site = Site::new();
    let newer = serde_json::json!({ "format": FORMAT + 1, "everything": "else differs" });
    site.pack(site.seal(), &newer, &[ROWS]).await;
    let error = site.error(&site.key());
    assert!(
        matches!(error, ReadError::NewerFormat { format, known, .. } if format == FORMAT + 1 && known == FORMAT),
        "{error}"
    );
}

#[tokio::test]
async fn other_files_are_told_from_backups() {
    let site = Site::new();
    fs::write(site.path(), "a letter").expect("written");
    assert!(matches!(site.error(&site.key()), ReadError::NotOurs { .. }));
    site.write_foreign(b"a letter");
    assert!(matches!(site.error(&site.key()), ReadError::NotOurs { .. }));

    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let mut header = tar::Header::new_gnu();
    header.set_size(2);
    header.set_mode(0o600);
    archive
        .append_data(&mut header, "letter.txt", &b"hi"[..])
        .expect("added");
    let packed = archive.into_inner().expect("finished").finish().expect("finished");
    site.write_foreign(&packed);
    assert!(matches!(site.error(&site.key()), ReadError::NotOurs { .. }));

    fs::remove_file(site.path()).expect("removed");
    assert!(matches!(site.error(&site.key()), ReadError::Open { .. }));
}

#[tokio::test]
async fn what_is_thrown_away_in_the_middle_leaves_no_file() {
    let site = Site::new();
    let file = NewFile::begin(&site.path()).expect("begun");
    let packing = Packing::begin(file, site.seal());
    packing.add(HEADING, PRIVATE, heading().to_string().into_bytes()).await;
    drop(packing);
    let is_empty = async || fs::read_dir(site.folder.path()).expect("a folder").next().is_none();
    vpnmanager_testbed::wait::until(vpnmanager_testbed::wait::SOON, "the file to go", is_empty)
        .await
        .expect("gone");
}
