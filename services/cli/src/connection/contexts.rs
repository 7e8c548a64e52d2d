//! The file of contexts: which managements an operator works with, and with which keys.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use vpnmanager_runtime::error_chain::chain;
use vpnmanager_runtime::secret_file;

use crate::environment::variable;
use crate::failure::Failure;

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

    /// Writes it, for the eyes of this account only.
    pub(crate) fn save(&self) -> Result<PathBuf, Failure> {
        let file =
            file().ok_or_else(|| Failure::failed("contexts have no place: neither XDG_CONFIG_HOME nor HOME is set"))?;
        self.write(&file)?;
        Ok(file)
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
        let folder = file.parent().unwrap_or(Path::new("."));
        let written = secret_file::create_dir(folder).and_then(|()| secret_file::write(file, text + "\n"));
        written.map_err(|error| Failure::failed(chain(&error).to_string()))
    }
}

fn file() -> Option<PathBuf> {
    let folder = variable("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(variable("HOME")?).join(".config")))?;
    Some(folder.join("vpnmanager").join("config.json"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn contexts_are_kept_in_a_file_that_only_their_owner_reads() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("vpnmanager/config.json");
        assert!(Contexts::read(&file).unwrap().contexts.is_empty());
        let mut contexts = Contexts {
            current: Some("prod".to_owned()),
            ..Contexts::default()
        };
        let context = Context {
            management_url: "https://management.example.org:8080".to_owned(),
            api_key: "a key".to_owned(),
            management_ca: None,
        };
        contexts.contexts.insert("prod".to_owned(), context);
        contexts.write(&file).unwrap();
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
