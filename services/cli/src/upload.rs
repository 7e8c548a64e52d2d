//! The two requests whose bodies are no JSON: the generator takes none of them.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::api::Api;
use crate::failure::Failure;

/// An import of 100,000 users takes some minutes.
const PATIENCE: Duration = Duration::from_secs(3600);

/// What an old server left, ready to be sent.
pub(crate) struct Source {
    content_type: &'static str,
    bytes: Vec<u8>,
}

impl Source {
    /// A folder becomes a tar; of a file its content says what it is.
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        if path.is_dir() {
            return Ok(Self {
                content_type: "application/gzip",
                bytes: packed(path)?,
            });
        }
        let bytes = fs::read(path)?;
        Ok(Self {
            content_type: content_type(&bytes),
            bytes,
        })
    }
}

impl Api {
    /// `POST /api/imports` with these query parameters.
    pub(crate) async fn import_source(&self, source: Source, query: &[(&str, String)]) -> Result<Value, Failure> {
        let request = self.http.post(format!("{}/api/imports", self.url())).query(query);
        let request = request.header("content-type", source.content_type).timeout(PATIENCE);
        self.by_hand(request.body(source.bytes)).await
    }

    /// `POST /api/users.csv`.
    pub(crate) async fn import_users(&self, csv: Vec<u8>) -> Result<Value, Failure> {
        let request = self.http.post(format!("{}/api/users.csv", self.url()));
        let request = request.header("content-type", "text/csv").timeout(PATIENCE);
        self.by_hand(request.body(csv)).await
    }
}

/// A gzipped tar of what is in the folder, without private keys and links: management needs none of them.
fn packed(folder: &Path) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    append(&mut archive, folder, Path::new(""))?;
    archive.into_inner()?.finish()
}

fn append(archive: &mut tar::Builder<GzEncoder<Vec<u8>>>, folder: &Path, within: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (kind, path, name) = (entry.file_type()?, entry.path(), within.join(entry.file_name()));
        let is_secret = path.extension().is_some_and(|extension| extension == "key") || entry.file_name() == "private";
        if kind.is_dir() && !is_secret {
            append(archive, &path, &name)?;
        } else if kind.is_file() && !is_secret {
            archive.append_path_with_name(&path, &name)?;
        }
    }
    Ok(())
}

fn content_type(bytes: &[u8]) -> &'static str {
    match bytes {
        [0x1f, 0x8b, ..] => "application/gzip",
        [b'S', b'Q', b'L', b'i', b't', b'e', b' ', ..] => "application/vnd.sqlite3",
        _ if bytes.get(257..262) == Some(b"ustar".as_slice()) => "application/x-tar",
        _ => "text/csv",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_keys_stay_at_home() {
        let folder = tempfile::tempdir().unwrap();
        for (file, text) in [
            ("pki/issued/alice.crt", "a"),
            ("pki/private/alice.key", "b"),
            ("ca.key", "c"),
        ] {
            let file = folder.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        let archive = packed(folder.path()).unwrap();
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(archive.as_slice()));
        let paths = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().into_owned());
        assert_eq!(paths.collect::<Vec<_>>(), [Path::new("pki/issued/alice.crt")]);
    }

    #[test]
    fn a_source_is_known_by_its_content() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("users.csv"), "username\nalice\n").unwrap();
        let packed = Source::read(folder.path()).unwrap();
        assert_eq!(
            (packed.content_type, content_type(&packed.bytes)),
            ("application/gzip", "application/gzip")
        );
        assert_eq!(
            Source::read(&folder.path().join("users.csv")).unwrap().content_type,
            "text/csv"
        );
        assert_eq!(content_type(b"SQLite format 3\0"), "application/vnd.sqlite3");
        let mut tar = vec![0; 512];
        tar[257..262].copy_from_slice(b"ustar");
        assert_eq!(content_type(&tar), "application/x-tar");
    }
}
