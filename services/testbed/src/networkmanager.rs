//! NetworkManager's importer of profiles: two of its libraries, without a NetworkManager that runs and would take over the network.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use crate::{
    binaries::{self, Missing},
    require::require,
};

/// Calls what `nmcli connection import` calls.
const IMPORT: &str = include_str!("import_profile.py");
/// Its exit code when the plugin does not take the profile.
const REFUSED: i32 = 3;

/// NetworkManager's plugin for OpenVPN.
const PLUGIN: &str = "libnm-vpn-plugin-openvpn.so";

/// An importer that was found.
#[derive(Debug, Clone)]
pub struct Importer {
    library: PathBuf,
    plugin: PathBuf,
}

/// A profile was not imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Python did not start.
    #[error("Python 3 cannot be started")]
    Start(#[from] io::Error),
    /// The importer does not take the profile.
    #[error("NetworkManager does not import the profile: {0}")]
    Refused(String),
    /// Anything else: the libraries cannot be loaded, or the file cannot be read. Nothing is known of the profile.
    #[error("NetworkManager's importer did not get as far as the profile: {0}")]
    Failed(String),
}

impl Importer {
    /// The one in `target/tools`, or that of this machine.
    ///
    /// # Errors
    /// [`Missing`] when there is none, or when its libraries cannot be loaded here.
    pub fn find() -> Result<Self, Missing> {
        let target = binaries::target_dir().unwrap_or_else(|| PathBuf::from("target"));
        let tools = target.join("tools/networkmanager");
        let found = [tools.as_path(), Path::new("/")].into_iter().find_map(Self::below);
        let found = found.ok_or_else(|| Missing {
            program: PLUGIN.to_owned(),
            looked: format!("in {} and in /usr/lib", tools.display()),
            remedy: "`services/testbed/prerequisites.sh --tools networkmanager` unpacks it on Debian and Ubuntu",
        })?;
        found.loadable()
    }

    /// What a machine lacks is found out before a test depends on it: other libraries, or the right kind of processor.
    fn loadable(self) -> Result<Self, Missing> {
        let loaded = self.python().output().map_err(ImportError::Start);
        match loaded.and_then(|output| told(&output)) {
            Ok(_) => Ok(self),
            Err(error) => Err(Missing {
                program: format!("a {PLUGIN} that can be loaded"),
                looked: format!("at {}: {error}", self.plugin.display()),
                remedy: "`services/testbed/prerequisites.sh` installs what it needs on Debian and Ubuntu (as root)",
            }),
        }
    }

    /// Debian has a folder of libraries for each kind of processor.
    fn below(root: &Path) -> Option<Self> {
        let folders = fs::read_dir(root.join("usr/lib")).ok()?;
        folders.flatten().find_map(|folder| {
            let library = folder.path().join("libnm.so.0");
            let plugin = folder.path().join("NetworkManager").join(PLUGIN);
            (library.exists() && plugin.exists()).then_some(Self { library, plugin })
        })
    }

    /// What NetworkManager makes of this profile: the items of its connection. Certificates and keys are written below `home`.
    ///
    /// # Errors
    /// [`ImportError::Refused`] with what `nmcli` would say; the others when that is not known.
    pub async fn import(&self, profile: &Path, home: &Path) -> Result<BTreeMap<String, String>, ImportError> {
        let mut python = tokio::process::Command::from(self.python());
        python.arg(profile).env("HOME", home).kill_on_drop(true);
        let told = told(&python.output().await?)?;
        let items = told.lines().filter_map(|line| line.split_once('\t'));
        Ok(items.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// Loads both libraries; with the path of a profile as one more argument it is imported too.
    fn python(&self) -> Command {
        let mut python = Command::new("python3");
        python
            .args(["-c", IMPORT])
            .args([&self.library, &self.plugin])
            .stdin(Stdio::null());
        python
    }
}

/// What it printed, if it succeeded.
fn told(output: &Output) -> Result<String, ImportError> {
    let [told, errors] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    match output.status.code() {
        Some(0) => Ok(told.into_owned()),
        Some(REFUSED) => Err(ImportError::Refused(errors.trim().to_owned())),
        Some(_) | None => Err(ImportError::Failed(format!("{}: {}", output.status, errors.trim()))),
    }
}

/// For tests: `Some` if the importer is there; otherwise prints to standard error that `test` is skipped.
///
/// # Panics
/// If it is not although `VPNMANAGER_REQUIRE_NETWORKMANAGER` is 1 (as on the project's CI).
#[must_use]
pub fn require_importer(test: &str) -> Option<Importer> {
    require(test, "VPNMANAGER_REQUIRE_NETWORKMANAGER", Importer::find())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As on a machine that has the two packages unpacked and lacks what they depend on.
    #[test]
    fn an_importer_whose_libraries_cannot_be_loaded_is_missing() {
        let importer = Importer {
            library: "/nonexistent/libnm.so.0".into(),
            plugin: "/nonexistent/plugin.so".into(),
        };
        let missing = importer.loadable().expect_err("nothing is there").to_string();
        assert!(
            missing.contains("/nonexistent/plugin.so") && missing.contains("cannot open shared object file"),
            "{missing}"
        );
    }
}
