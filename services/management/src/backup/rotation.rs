//! A folder with the newest backups.

use std::{
    fs::{self, DirEntry},
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use chrono::{DateTime, NaiveDateTime, Utc};
use vpnmanager_secret_file::unfinished;

/// What the name of a backup in such a folder is made of.
const BEFORE: &str = "vpnmanager-";
const AFTER: &str = ".age";
const TIME: &str = "%Y%m%dT%H%M%SZ";
/// Nobody writes a backup any more that was not written to for so long: whoever did was killed.
const ABANDONED_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// Why an old backup is still there.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// The folder cannot be read.
    #[error("cannot read the folder {}", .folder.display())]
    Read {
        /// The folder.
        folder: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file cannot be deleted.
    #[error("cannot delete the old backup {}", .path.display())]
    Delete {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The name of a backup that is made at this time: `vpnmanager-20261202T030000Z.age`.
#[must_use]
pub fn name_at(time: DateTime<Utc>) -> String {
    format!("{BEFORE}{}{AFTER}", time.format(TIME))
}

/// Deletes all but the newest backups of a folder, by the times in their names: of `newest`, which was just made, and of those that are older. One
/// that is later was made while a clock was wrong, then or now, and stays: nobody knows which. What a killed command left goes, too. Everything else
/// stays: files with other names, folders, links. Returns what was deleted.
pub fn keep_newest(newest: &Path, most: usize) -> Result<Vec<PathBuf>, RotationError> {
    let folder = newest.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let failed = |source| RotationError::Read {
        folder: folder.to_owned(),
        source,
    };
    let Some(made) = newest.file_name().and_then(|name| time_of(name.to_str()?)) else {
        return Ok(Vec::new());
    };
    let (mut backups, mut gone) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|_| is_file(&entry)) else {
            continue;
        };
        match time_of(name) {
            Some(time) if time < made => backups.push((time, entry.path())),
            Some(_) => {}
            None if unfinished(name).and_then(time_of).is_some() && is_abandoned(&entry) => gone.push(entry.path()),
            None => {}
        }
    }
    backups.sort();
    let old = (backups.len() + 1).saturating_sub(most.max(1));
    gone.extend(backups.drain(..old).map(|(_time, path)| path));
    delete(gone)
}

fn delete(paths: Vec<PathBuf>) -> Result<Vec<PathBuf>, RotationError> {
    let mut deleted = Vec::with_capacity(paths.len());
    for path in paths {
        match fs::remove_file(&path) {
            Ok(()) => deleted.push(path),
            // Somebody else was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(RotationError::Delete { path, source }),
        }
    }
    Ok(deleted)
}

/// A link is none.
fn is_file(entry: &DirEntry) -> bool {
    entry.file_type().is_ok_and(|kind| kind.is_file())
}

fn is_abandoned(entry: &DirEntry) -> bool {
    let written = entry.metadata().and_then(|found| found.modified());
    let age = written.ok().and_then(|at| SystemTime::now().duration_since(at).ok());
    age.is_some_and(|age| age > ABANDONED_AFTER)
}

fn time_of(name: &str) -> Option<NaiveDateTime> {
    let time = name.strip_prefix(BEFORE)?.strip_suffix(AFTER)?;
    let time = NaiveDateTime::parse_from_str(time, TIME).ok()?;
    // Only as we write it.
    (name_at(time.and_utc()) == name).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> DateTime<Utc> {
        text.parse().expect("a time")
    }

    #[test]
    fn the_newest_stay_and_so_does_what_is_no_backup() {
        let folder = tempfile::tempdir().expect("a folder");
        let times = ["2026-12-01T03:00:00Z", "2026-11-30T03:00:00Z", "2027-01-01T00:00:00Z"].map(time);
        let names = times.map(name_at);
        let others = [
            "vpnmanager-by-hand.age",
            "letter.txt",
            "vpnmanager-20261130T030000Z.age.old",
        ];
        for name in names.iter().map(String::as_str).chain(others) {
            fs::write(folder.path().join(name), "").expect("written");
        }
        assert_eq!(names[1], "vpnmanager-20261130T030000Z.age");
        let newest = folder.path().join(&names[2]);
        let deleted = keep_newest(&newest, 2).expect("kept");
        assert_eq!(deleted, [folder.path().join(&names[1])]);
        assert_eq!(keep_newest(&newest, 2).expect("kept"), Vec::<PathBuf>::new());
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 5);
    }

    /// The clock was years ahead for some nights, or is years behind now: what was just made is not the oldest, and nothing is lost.
    #[test]
    fn a_wrong_clock_deletes_nothing_of_the_other_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |day: u32| {
            folder
                .path()
                .join(name_at(time(&format!("2026-12-{day:02}T03:00:00Z"))))
        };
        let ahead = folder.path().join(name_at(time("2036-01-01T03:00:00Z")));
        fs::write(&ahead, "").expect("written");
        for day in 1..=3 {
            fs::write(path(day), "").expect("written");
            keep_newest(&path(day), 2).expect("kept");
        }
        let is_there = [&ahead, &path(1), &path(2), &path(3)].map(|path| path.exists());
        assert_eq!(is_there, [true, false, true, true]);
    }

    #[test]
    fn links_and_folders_stay_and_what_a_killed_command_left_goes() {
        let folder = tempfile::tempdir().expect("a folder");
        let elsewhere = folder.path().join("precious");
        fs::write(&elsewhere, "").expect("written");
        let old = |day: u32| {
            folder
                .path()
                .join(name_at(time(&format!("2026-11-{day:02}T03:00:00Z"))))
        };
        std::os::unix::fs::symlink(&elsewhere, old(1)).expect("linked");
        fs::create_dir(old(2)).expect("made");
        let newest = old(3);
        fs::write(&newest, "").expect("written");
        let hidden = |end: &str| {
            folder
                .path()
                .join(format!(".{}{end}", name_at(time("2026-11-01T03:00:00Z"))))
        };
        let (left, being_written, odd) = (hidden(".77.0.tmp"), hidden(".78.0.tmp"), hidden(".by-hand.tmp"));
        let long_ago = SystemTime::now() - 2 * ABANDONED_AFTER;
        for path in [&left, &being_written, &odd] {
            fs::write(path, "").expect("written");
        }
        for path in [&left, &odd] {
            let file = fs::File::options().write(true).open(path).expect("opened");
            file.set_modified(long_ago).expect("set");
        }
        assert_eq!(keep_newest(&newest, 1).expect("kept"), [left]);
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 6);
    }

    #[test]
    fn names_that_are_only_like_ours_are_not_ours() {
        assert!(time_of("vpnmanager-20261130T030000Z.age").is_some());
        for odd in [
            "vpnmanager- 20261130T030000Z.age",
            "vpnmanager-+20261130T030000Z.age",
            "vpnmanager-20261130T030000Z.age.age",
            "vpnmanager-20261330T030000Z.age",
        ] {
            assert!(time_of(odd).is_none(), "{odd}");
        }
    }
}
