//! Our own programs and OpenVPN.

use std::{
    env,
    ffi::OsStr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use crate::environment;

/// A program is not on this machine.
#[derive(Debug, thiserror::Error)]
#[error("{program} not found: looked {looked}. {remedy}")]
pub struct Missing {
    /// What was looked for.
    pub program: String,
    /// Where.
    pub looked: String,
    /// What to do about it.
    pub remedy: &'static str,
}

pub(super) const INSTALL: &str = "`services/testbed/prerequisites.sh` installs it on Debian and Ubuntu (as root)";
const BUILD: &str = "Build it with `cargo build --workspace --bins`, or name its folder in VPNMANAGER_BIN_DIR";

/// The management service.
///
/// # Errors
/// [`Missing`] when it has not been built.
pub fn management() -> Result<PathBuf, Missing> {
    ours("vpnmanager-management")
}

/// The agent of a node.
///
/// # Errors
/// [`Missing`] when it has not been built.
pub fn endnode() -> Result<PathBuf, Missing> {
    ours("vpnmanager-endnode")
}

/// The command line of operators.
///
/// # Errors
/// [`Missing`] when it has not been built.
pub fn command_line() -> Result<PathBuf, Missing> {
    ours("vpnmanager")
}

/// OpenVPN.
///
/// # Errors
/// [`Missing`] when it is not installed.
pub fn openvpn() -> Result<PathBuf, Missing> {
    required_tool("openvpn")
}

/// PgBouncer.
///
/// # Errors
/// [`Missing`] when it is not installed.
pub fn pgbouncer() -> Result<PathBuf, Missing> {
    required_tool("pgbouncer")
}

/// A system tool by its name.
///
/// # Errors
/// [`Missing`] when it is not installed.
pub fn required_tool(name: &str) -> Result<PathBuf, Missing> {
    tool(name).ok_or_else(|| Missing {
        program: name.to_owned(),
        looked: "on PATH and in the sbin folders".to_owned(),
        remedy: INSTALL,
    })
}

/// Cargo's target folder that the running executable is in.
#[must_use]
pub fn target_dir() -> Option<PathBuf> {
    Some(profile_dir()?.parent()?.to_path_buf())
}

fn ours(name: &str) -> Result<PathBuf, Missing> {
    let folder = match environment::variable("VPNMANAGER_BIN_DIR") {
        Some(folder) => Some(PathBuf::from(folder)),
        None => profile_dir(),
    };
    let folder = folder.unwrap_or_else(|| PathBuf::from("target/debug"));
    let program = folder.join(name);
    if is_program(&program) {
        return Ok(program);
    }
    Err(Missing {
        program: name.to_owned(),
        looked: format!("in {}", folder.display()),
        remedy: BUILD,
    })
}

/// `target/debug` or `target/release`: test executables lie one folder deeper.
fn profile_dir() -> Option<PathBuf> {
    let exe = env::current_exe().ok()?;
    let folder = exe.parent()?;
    let deeper = [OsStr::new("deps"), OsStr::new("examples")];
    match folder.file_name() {
        Some(name) if deeper.contains(&name) => Some(folder.parent()?.to_path_buf()),
        _ => Some(folder.to_path_buf()),
    }
}

/// Every program of this name on PATH and in the folders that a user's PATH leaves out.
pub(super) fn on_path(name: &str) -> impl Iterator<Item = PathBuf> {
    let path = environment::variable("PATH").unwrap_or_default();
    let sbin = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    let folders: Vec<PathBuf> = env::split_paths(&path).chain(sbin).collect();
    let name = name.to_owned();
    folders
        .into_iter()
        .map(move |folder| folder.join(&name))
        .filter(|program| is_program(program))
}

pub(super) fn is_program(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// A system tool by its name; `None` when it is not installed.
#[must_use]
pub fn tool(name: &str) -> Option<PathBuf> {
    on_path(name).next()
}
