//! Damages files of a node, as somebody with a shell on it could.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use fastrand::Rng;

const JOURNAL: &str = "journal.db";

/// The journal with its log and index, if they exist.
fn journal_files(state_dir: &Path) -> Vec<PathBuf> {
    let files = ["", "-wal", "-shm"].map(|suffix| state_dir.join(format!("{JOURNAL}{suffix}")));
    files.into_iter().filter(|file| file.exists()).collect()
}

/// `rm journal.db*`.
pub(super) fn delete_journal(state_dir: &Path) -> io::Result<String> {
    let files = journal_files(state_dir);
    files.iter().try_for_each(fs::remove_file)?;
    Ok(format!("{} files deleted", files.len()))
}

/// Truncates the main file or the write-ahead log at a random place.
pub(super) fn truncate_journal(state_dir: &Path, rng: &mut Rng) -> io::Result<String> {
    let cut = |file: &PathBuf| {
        fs::metadata(file).is_ok_and(|file| file.len() > 0) && !file.to_string_lossy().ends_with("-shm")
    };
    let files: Vec<PathBuf> = journal_files(state_dir).into_iter().filter(cut).collect();
    let Some(file) = rng.choice(files) else {
        return Ok("nothing to truncate".to_owned());
    };
    let length = fs::metadata(&file)?.len();
    let kept = rng.u64(0..length);
    OpenOptions::new().write(true).open(&file)?.set_len(kept)?;
    Ok(format!("{} cut from {length} to {kept} bytes", file.display()))
}

const BALLAST: &str = "ballast";

/// Writes until the disk is full.
pub(super) fn fill_disk(state_dir: &Path) -> io::Result<String> {
    let mut ballast = fs::File::create(state_dir.join(BALLAST))?;
    let mut written = 0;
    for size in [64 * 1024, 512] {
        let block = vec![0; size];
        while ballast.write_all(&block).is_ok() {
            written += size;
        }
    }
    Ok(format!("{written} bytes written"))
}

/// `rm -r` of all that the folder holds. It stays itself: a disk is mounted there.
pub(super) fn empty_folder(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

pub(super) fn empty_disk(state_dir: &Path) -> io::Result<()> {
    fs::remove_file(state_dir.join(BALLAST))
}

/// Adds a common name to the allow-list; the agent does not know of it.
pub(super) fn add_allowed(allow_dir: &Path, rng: &mut Rng) -> io::Result<String> {
    let suffix: String = std::iter::repeat_with(|| rng.lowercase()).take(16).collect();
    let file = allow_dir.join(format!("intruder.{suffix}"));
    fs::write(&file, "")?;
    Ok(format!("{} added", file.display()))
}

/// Removes a common name from the allow-list, but never one of the user `spared`; the agent does not know of it.
pub(super) fn remove_allowed(allow_dir: &Path, spared: &str, rng: &mut Rng) -> io::Result<String> {
    let spared = format!("{spared}.");
    let mut files: Vec<PathBuf> = fs::read_dir(allow_dir)?.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| {
        !file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .starts_with(&spared)
    });
    let Some(file) = rng.choice(files) else {
        return Ok("nothing to remove".to_owned());
    };
    match fs::remove_file(&file) {
        // The agent has removed the file first.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        removed => removed?,
    }
    Ok(format!("{} removed", file.display()))
}
