//! The programs of the last release, which `services/testbed/last_release.sh` builds from its commit.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::find::{Missing, is_program, target_dir};
use crate::require::require;

/// The programs of the last release.
#[derive(Debug, Clone)]
pub struct LastRelease {
    /// The management service.
    pub management: PathBuf,
    /// The agent of a node.
    pub endnode: PathBuf,
    /// What both say of themselves, such as `0.1.0`.
    pub version: String,
}

/// For tests: `Some` if they are there; otherwise prints to standard error that `test` is skipped.
///
/// # Panics
/// If they are not although `VPNMANAGER_REQUIRE_LAST_RELEASE` is 1.
#[must_use]
pub fn require_last_release(test: &str) -> Option<LastRelease> {
    let target = target_dir().unwrap_or_else(|| PathBuf::from("target"));
    let found = in_folder(&target.join("last-release/bin"));
    require(test, "VPNMANAGER_REQUIRE_LAST_RELEASE", found)
}

fn in_folder(folder: &Path) -> Result<LastRelease, Missing> {
    let missing = |looked| Missing {
        program: "the last release".to_owned(),
        looked,
        remedy: "`make test-upgrade` builds it, where the history of the project is there",
    };
    let [management, endnode] = ["vpnmanager-management", "vpnmanager-endnode"].map(|name| folder.join(name));
    if !is_program(&management) || !is_program(&endnode) {
        return Err(missing(format!("in {}", folder.display())));
    }
    match (version_of(&management), version_of(&endnode)) {
        (Some(version), Some(other)) if version == other => Ok(LastRelease {
            management,
            endnode,
            version,
        }),
        (one, other) => Err(missing(format!(
            "in {}, where the programs say that they are {one:?} and {other:?}",
            folder.display()
        ))),
    }
}

/// `vpnmanager-endnode 0.1.0`
fn version_of(program: &Path) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    Some(said.trim().rsplit_once(' ')?.1.to_owned())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;
    use crate::scratch::{Medium, Scratch};

    #[test]
    fn two_programs_that_say_the_same_version_are_the_last_release() {
        let scratch = Scratch::guarded(Medium::Memory).unwrap();
        let says = |name: &str, version: &str| {
            let program = scratch.dir().join(name);
            fs::write(&program, format!("#!/bin/sh\necho \"{name} {version}\"\n")).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        };
        says("vpnmanager-management", "0.1.0");
        let none = in_folder(scratch.dir()).unwrap_err().to_string();
        assert!(none.starts_with("the last release not found: looked in "), "{none}");

        says("vpnmanager-endnode", "0.2.0");
        let two = in_folder(scratch.dir()).unwrap_err().to_string();
        assert!(two.contains("Some(\"0.1.0\") and Some(\"0.2.0\")"), "{two}");

        says("vpnmanager-endnode", "0.1.0");
        let found = in_folder(scratch.dir()).unwrap();
        assert_eq!(found.version, "0.1.0");
        scratch.remove();
    }
}
