//! PostgreSQL's own programs: a private cluster needs `initdb` and `postgres`, nothing else.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::find::{INSTALL, Missing, is_program, on_path};

/// The two programs, from one installation.
#[derive(Debug, Clone)]
pub struct PostgresBinaries {
    /// `initdb`.
    pub initdb: PathBuf,
    /// `postgres`.
    pub postgres: PathBuf,
}

/// Debian's newest `/usr/lib/postgresql/*/bin`, else `pg_config --bindir`, else PATH.
///
/// # Errors
/// [`Missing`] when there is none.
pub fn postgres() -> Result<PostgresBinaries, Missing> {
    debian()
        .into_iter()
        .chain(pg_config())
        .chain(path())
        .find_map(|folder| in_folder(&folder))
        .ok_or_else(|| Missing {
            program: "PostgreSQL (initdb and postgres)".to_owned(),
            looked: "in /usr/lib/postgresql/*/bin, where pg_config says, and on PATH".to_owned(),
            remedy: INSTALL,
        })
}

fn debian() -> Vec<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    versions.sort();
    versions.into_iter().rev().map(|(_, folder)| folder).collect()
}

fn pg_config() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok()?;
    Some(PathBuf::from(String::from_utf8(output.stdout).ok()?.trim()))
}

fn path() -> Option<PathBuf> {
    Some(on_path("initdb").next()?.parent()?.to_path_buf())
}

fn in_folder(folder: &Path) -> Option<PostgresBinaries> {
    let (initdb, postgres) = (folder.join("initdb"), folder.join("postgres"));
    (is_program(&initdb) && is_program(&postgres)).then_some(PostgresBinaries { initdb, postgres })
}
