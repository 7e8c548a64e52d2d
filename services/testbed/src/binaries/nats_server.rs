//! A nats-server that is new enough, and the program itself (a version manager's wrapper script would hide its pid).

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use super::find::{INSTALL, Missing, is_program, on_path, target_dir};
use crate::environment;

/// Consumer features that the bus needs came with this one; older servers drop unknown fields without an error.
const OLDEST: (u32, u32) = (2, 14);

/// nats-server 2.14 or newer: from `VPNMANAGER_NATS_SERVER`, `target/tools`, PATH, or the scripts folder of `python3`.
///
/// # Errors
/// [`Missing`] when there is none, or only older ones.
pub fn nats_server() -> Result<PathBuf, Missing> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    let found = FOUND.get_or_init(|| candidates().into_iter().find(|program| usable(program)));
    found.clone().ok_or_else(|| Missing {
        program: "nats-server 2.14 or newer".to_owned(),
        looked: "at VPNMANAGER_NATS_SERVER, in target/tools/bin, on PATH and among the scripts of python3".to_owned(),
        remedy: INSTALL,
    })
}

fn candidates() -> Vec<PathBuf> {
    if let Some(named) = environment::variable("VPNMANAGER_NATS_SERVER") {
        return vec![named.into()];
    }
    let mut candidates: Vec<PathBuf> = target_dir()
        .map(|target| target.join("tools/bin/nats-server"))
        .into_iter()
        .collect();
    candidates.extend(on_path("nats-server"));
    candidates.extend(python_scripts().map(|folder| folder.join("nats-server")));
    candidates
}

fn python_scripts() -> Option<PathBuf> {
    let print = "import sysconfig; print(sysconfig.get_path('scripts'))";
    let output = Command::new("python3").args(["-c", print]).output().ok()?;
    Some(PathBuf::from(String::from_utf8(output.stdout).ok()?.trim()))
}

fn usable(program: &Path) -> bool {
    is_program(program) && is_elf(program) && version(program).is_some_and(|version| version >= OLDEST)
}

fn is_elf(program: &Path) -> bool {
    let mut magic = [0; 4];
    fs::File::open(program)
        .and_then(|mut file| file.read_exact(&mut magic))
        .is_ok()
        && &magic == b"\x7fELF"
}

fn version(program: &Path) -> Option<(u32, u32)> {
    let output = Command::new(program).arg("--version").output().ok()?;
    parse_version(&String::from_utf8(output.stdout).ok()?)
}

fn parse_version(line: &str) -> Option<(u32, u32)> {
    let mut numbers = line.trim().rsplit_once('v')?.1.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    #[test]
    fn versions_are_read_from_what_the_server_prints() {
        assert_eq!(super::parse_version("nats-server: v2.15.1\n"), Some((2, 15)));
        assert_eq!(super::parse_version("nats-server: v2.9.10-beta"), Some((2, 9)));
        assert_eq!(super::parse_version("garbage"), None);
    }
}
