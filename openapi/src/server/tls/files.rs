//! The files of a certificate and its key, and what follows from their changes.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::{info, warn};
use vpnmanager_runtime::error_chain::chain;

use super::pair::{Pair, PairError};
use super::served::ServedCertificate;

/// How often the files are looked at.
const PERIOD: Duration = Duration::from_secs(2);

/// Where a certificate and its key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairFiles {
    /// TLS_CERT_FILE: the certificate, and those that lead from it to its CA.
    pub certificate: PathBuf,
    /// TLS_KEY_FILE.
    pub key: PathBuf,
}

/// Why the files cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// One cannot be read.
    #[error("{variable}: cannot read {}", .path.display())]
    Read {
        /// The setting that names it.
        variable: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What they hold is not good.
    #[error("TLS_CERT_FILE={} and TLS_KEY_FILE={} cannot be served", .certificate.display(), .key.display())]
    Pair {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
        /// Why.
        #[source]
        source: PairError,
    },
}

impl PairFiles {
    /// Reads them.
    ///
    /// # Errors
    /// A file is missing, or what they hold cannot be served.
    pub fn load(&self) -> Result<Pair, FilesError> {
        let read = |variable, path: &Path| {
            fs::read(path).map_err(|source| FilesError::Read {
                variable,
                path: path.to_owned(),
                source,
            })
        };
        let certificate = read("TLS_CERT_FILE", &self.certificate)?;
        let key = read("TLS_KEY_FILE", &self.key)?;
        Pair::from_pem(&certificate, &key).map_err(|source| FilesError::Pair {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            source,
        })
    }

    fn state(&self) -> [Option<FileState>; 2] {
        [&self.certificate, &self.key].map(|path| fs::metadata(path).ok().map(|found| FileState::of(&found)))
    }
}

/// Another one: the file was replaced or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileState {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl FileState {
    fn of(found: &Metadata) -> Self {
        Self {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
        }
    }
}

/// Serves what the files hold, for ever: looks at them every 2 s and reads them when they changed. What cannot be served is told once for each
/// change and reason, and the certificate of before stays. It is tried again each time: whoever renews may give the files to our account last,
/// and a certificate may be valid in a moment, which no state of a file shows.
pub async fn follow(files: PairFiles, served: ServedCertificate) {
    let mut seen = None;
    let mut refused: Option<String> = None;
    loop {
        let state = files.state();
        let is_changed = seen != Some(state);
        // The first time too: they may have changed since the start.
        if is_changed || refused.is_some() {
            match files.load() {
                Ok(pair) => {
                    if seen.is_some() {
                        info!(
                            file = %files.certificate.display(), not_after = %pair.not_after(),
                            "Another certificate is served: its file has changed"
                        );
                    }
                    served.replace(pair);
                    refused = None;
                }
                Err(error) => {
                    let reason = chain(&error).to_string();
                    if is_changed || refused.as_ref() != Some(&reason) {
                        warn!(
                            error = reason,
                            "The certificate has changed and cannot be served: the one of before stays"
                        );
                    }
                    refused = Some(reason);
                }
            }
        }
        seen = Some(state);
        tokio::time::sleep(PERIOD).await;
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    /// Longer than a look takes.
    const SOON: Duration = Duration::from_secs(20);

    fn in_folder(folder: &Path) -> PairFiles {
        PairFiles {
            certificate: folder.join("tls.crt"),
            key: folder.join("tls.key"),
        }
    }

    /// Another key, and a certificate for it.
    fn made() -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        (certificate.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    fn write(files: &PairFiles) {
        let (certificate, key) = made();
        fs::write(&files.key, key).unwrap();
        fs::write(&files.certificate, certificate).unwrap();
    }

    fn leaf(served: &ServedCertificate) -> Vec<u8> {
        served.pair().certified.cert[0].to_vec()
    }

    /// Follows the files until these changes are done.
    async fn while_followed(files: &PairFiles, served: &ServedCertificate, changes: impl Future<Output = ()>) {
        tokio::select! {
            () = follow(files.clone(), served.clone()) => {}
            done = tokio::time::timeout(SOON, changes) => done.expect("the new pair is served"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_pair_is_served_and_a_broken_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let files = in_folder(folder.path());
        let missing = files.load().unwrap_err().to_string();
        assert!(
            missing.contains("TLS_CERT_FILE") && missing.contains("tls.crt"),
            "{missing}"
        );
        write(&files);
        let served = ServedCertificate::new(files.load().unwrap());
        let first = leaf(&served);
        let changes = async {
            tokio::time::sleep(PERIOD / 2).await;
            fs::write(&files.certificate, "broken").unwrap();
            tokio::time::sleep(2 * PERIOD).await;
            assert_eq!(leaf(&served), first);
            write(&files);
            while leaf(&served) == first {
                tokio::time::sleep(PERIOD).await;
            }
        };
        while_followed(&files, &served, changes).await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_refused_is_tried_again_although_nothing_of_the_file_changed() {
        let folder = tempfile::tempdir().unwrap();
        let files = in_folder(folder.path());
        write(&files);
        let served = ServedCertificate::new(files.load().unwrap());
        let first = leaf(&served);
        let changes = async {
            tokio::time::sleep(PERIOD / 2).await;
            let (certificate, key) = made();
            fs::write(&files.key, key).unwrap();
            fs::write(&files.certificate, "x".repeat(certificate.len())).unwrap();
            let changed_at = fs::metadata(&files.certificate).unwrap().modified().unwrap();
            tokio::time::sleep(2 * PERIOD).await;
            assert_eq!(leaf(&served), first);
            // As when a mode or the clock changes: the same file, length and time.
            fs::write(&files.certificate, &certificate).unwrap();
            let file = fs::File::options().write(true).open(&files.certificate).unwrap();
            file.set_modified(changed_at).unwrap();
            while leaf(&served) == first {
                tokio::time::sleep(PERIOD).await;
            }
        };
        while_followed(&files, &served, changes).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_folder_that_takes_the_place_of_another_is_followed_as_kubernetes_does_it() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["first", "second"] {
            fs::create_dir(at(name)).unwrap();
            write(&in_folder(&at(name)));
        }
        symlink("first", at("..data")).unwrap();
        for name in ["tls.crt", "tls.key"] {
            symlink(Path::new("..data").join(name), at(name)).unwrap();
        }
        let files = in_folder(folder.path());
        let served = ServedCertificate::new(files.load().unwrap());
        let first = leaf(&served);
        let changes = async {
            tokio::time::sleep(PERIOD / 2).await;
            symlink("second", at("..next")).unwrap();
            fs::rename(at("..next"), at("..data")).unwrap();
            fs::remove_dir_all(at("first")).unwrap();
            while leaf(&served) == first {
                tokio::time::sleep(PERIOD).await;
            }
        };
        while_followed(&files, &served, changes).await;
    }
}
