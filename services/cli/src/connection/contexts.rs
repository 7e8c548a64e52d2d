//! The file of contexts: which managements an operator works with, and with which keys.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use vpnmanager_runtime::error_chain::chain;
use vpnmanager_runtime::secret_file;

use crate::environment::path_variable;
use crate::failure::Failure;

/// Who holds it changes the contexts, in the same folder.
const LOCK: &str = ".lock";

/// One management. It has no `Debug`: it holds a key.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct Context {
    pub(crate) management_url: String,
    pub(crate) api_key: String,
    /// The certificates that management's is signed by, PEM; absent: those that the machine trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) management_ca: Option<String>,
}

/// The content of the file.
#[derive(Default, Deserialize, Serialize)]
pub(crate) struct Contexts {
    /// The one that is used where nothing else is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<String>,
    #[serde(default)]
    pub(crate) contexts: BTreeMap<String, Context>,
}

impl Contexts {
    /// Reads the file of this account. There is none before the first login.
    pub(crate) fn load() -> Result<Self, Failure> {
        match file() {
            Some(file) => Self::read(&file),
            None => Ok(Self::default()),
        }
    }

    /// Changes the file of this account, which only that may read, and says where it is. Where `change` fails it stays as it is.
    pub(crate) fn change(change: impl FnOnce(&mut Self) -> Result<(), Failure>) -> Result<PathBuf, Failure> {
        let file =
            file().ok_or_else(|| Failure::failed("contexts have no place: neither XDG_CONFIG_HOME nor HOME is set"))?;
        Self::change_in(&file, change)?;
        Ok(file)
    }

    /// One process after the other: of two that change it at once, neither loses what the other wrote.
    fn change_in(file: &Path, change: impl FnOnce(&mut Self) -> Result<(), Failure>) -> Result<(), Failure> {
        let folder = file.parent().unwrap_or(Path::new("."));
        secret_file::create_dir(folder).map_err(|error| Failure::failed(chain(&error).to_string()))?;
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(folder.join(LOCK))?;
        // Some file systems of networks have no locks; there two at once are too rare to do nothing at all.
        let _unlocked = lock.lock();
        let mut contexts = Self::read(file)?;
        change(&mut contexts)?;
        contexts.write(file)
    }

    fn read(file: &Path) -> Result<Self, Failure> {
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Failure::failed(format!("cannot read {}: {error}", file.display()))),
        };
        serde_json::from_str(&text).map_err(|error| Failure::failed(format!("{} is damaged: {error}", file.display())))
    }

    fn write(&self, file: &Path) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(self).map_err(|error| Failure::failed(error.to_string()))?;
        // Where it is a link, such as into a folder that is kept elsewhere, the link stays.
        let file = fs::canonicalize(file).unwrap_or_else(|_missing| file.to_owned());
        secret_file::write(&file, text + "\n").map_err(|error| Failure::failed(chain(&error).to_string()))
    }
}

fn file() -> Option<PathBuf> {
    let folder = folder_of(path_variable("XDG_CONFIG_HOME"), path_variable("HOME"))?;
    Some(folder.join("vpnmanager").join("config.json"))
}

/// A relative path counts as none (XDG Base Directory Specification): it would be another one in each folder.
fn folder_of(configuration: Option<PathBuf>, home: Option<PathBuf>) -> Option<PathBuf> {
    let configuration = configuration.filter(|folder| folder.is_absolute());
    configuration.or_else(|| Some(home?.join(".config")))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::thread;

    use super::*;

    fn context() -> Context {
        Context {
            management_url: "https://management.example.org:8080".to_owned(),
            api_key: "a key".to_owned(),
            management_ca: None,
        }
    }

    fn add(file: &Path, name: &str) {
        let added = Contexts::change_in(file, |contexts| {
            contexts.contexts.insert(name.to_owned(), context());
            Ok(())
        });
        added.expect("a file");
    }

    #[test]
    fn of_many_who_log_in_at_once_none_loses_its_context() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("vpnmanager/config.json");
        thread::scope(|scope| {
            for number in 0..8 {
                let file = &file;
                scope.spawn(move || add(file, &format!("lab-{number}")));
            }
        });
        assert_eq!(Contexts::read(&file).unwrap().contexts.len(), 8);
    }

    #[test]
    fn a_link_in_the_place_of_the_file_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (link, file) = (folder.path().join("config.json"), folder.path().join("kept.json"));
        fs::write(&file, "{}").unwrap();
        symlink(&file, &link).unwrap();
        add(&link, "lab");
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert!(Contexts::read(&file).unwrap().contexts.contains_key("lab"));
    }

    #[test]
    fn a_change_that_fails_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.json");
        add(&file, "lab");
        let failed = Contexts::change_in(&file, |contexts| {
            contexts.contexts.clear();
            Err(Failure::failed("no"))
        });
        assert!(failed.is_err());
        assert!(Contexts::read(&file).unwrap().contexts.contains_key("lab"));
    }

    #[test]
    fn a_relative_folder_of_configurations_counts_as_none() {
        let folder = |configuration: &str| folder_of(Some(PathBuf::from(configuration)), Some(PathBuf::from("/root")));
        assert_eq!(folder("/etc/me"), Some(PathBuf::from("/etc/me")));
        assert_eq!(folder("me"), Some(PathBuf::from("/root/.config")));
        assert_eq!(folder_of(None, None), None);
    }

    #[test]
    fn contexts_are_kept_in_a_file_that_only_their_owner_reads() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("vpnmanager/config.json");
        assert!(Contexts::read(&file).unwrap().contexts.is_empty());
        Contexts::change_in(&file, |contexts| {
            contexts.current = Some("prod".to_owned());
            contexts.contexts.insert("prod".to_owned(), context());
            Ok(())
        })
        .unwrap();
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let read = Contexts::read(&file).unwrap();
        assert_eq!(read.current.as_deref(), Some("prod"));
        assert_eq!(read.contexts["prod"].api_key, "a key");
    }

    #[test]
    fn a_file_of_a_newer_release_is_read_and_a_damaged_one_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.json");
        fs::write(&file, r#"{"contexts": {}, "colour": "blue"}"#).unwrap();
        assert!(Contexts::read(&file).is_ok());
        fs::write(&file, "{").unwrap();
        let told = Contexts::read(&file).err().unwrap().to_string();
        assert!(told.contains("is damaged"), "{told}");
    }
}
