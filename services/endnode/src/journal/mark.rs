//! A mark beside the journal: how many commits were made. A journal that counts fewer was truncated or restored from an earlier
//! state, which SQLite cannot tell from a sound one.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
};

/// Digits of the greatest count. Every mark has the same length, so that it can be written on a full disk too.
const DIGITS: usize = 20;

/// The file of the mark. It is written after each commit and never synced: after a loss of power it may be behind the journal, never
/// ahead of it.
#[derive(Debug)]
pub(super) struct Mark(File);

impl Mark {
    /// Opens the mark of the journal at `path`, making it (0600) where missing.
    pub(super) fn beside(path: &Path) -> io::Result<Self> {
        let mut name = path.as_os_str().to_owned();
        name.push(".commits");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(name)?;
        Ok(Self(file))
    }

    /// The commits that were made; 0 when nobody counted.
    pub(super) fn commits(&self) -> u64 {
        let mut digits = [0; DIGITS];
        let read = self.0.read_exact_at(&mut digits, 0);
        let text = read.ok().and_then(|()| std::str::from_utf8(&digits).ok());
        text.and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    /// Notes a commit.
    pub(super) fn set(&self, commits: u64) -> io::Result<()> {
        self.0.write_all_at(format!("{commits:0DIGITS$}\n").as_bytes(), 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_set() {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("journal.db");
        assert_eq!(Mark::beside(&journal).unwrap().commits(), 0);
        for commits in [1, 10, u64::MAX] {
            Mark::beside(&journal).unwrap().set(commits).unwrap();
            assert_eq!(Mark::beside(&journal).unwrap().commits(), commits);
        }
    }
}
