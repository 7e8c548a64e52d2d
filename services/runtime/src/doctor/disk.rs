//! The room on a disk, and how long it takes until something is on it.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::check::{Seen, Trouble};

/// Writes of one measurement.
const WRITES: usize = 20;
/// Bytes of one write: a page, as databases write.
const PAGE: [u8; 4096] = [0; 4096];
/// A disk that takes longer holds up everything that must be on it before it is answered.
const SLOW: Duration = Duration::from_millis(20);

/// Bytes that may still be written to the disk of this folder.
///
/// # Errors
/// The folder is not there, or the system does not say.
pub fn free(folder: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// What should be on the disks of these folders.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The folders; the time of a write is measured in the first.
    pub folders: Vec<PathBuf>,
    /// So many bytes should be free.
    pub reserve: u64,
}

/// Looks at the disks. What cannot be written to is a failure, little room or a slow disk a warning.
pub async fn look(wanted: Wanted) -> Seen {
    let looked = tokio::task::spawn_blocking(move || look_now(&wanted)).await;
    looked.unwrap_or_else(|_stopped| Seen::skipped("the look was interrupted"))
}

fn look_now(wanted: &Wanted) -> Seen {
    let mut said = Vec::new();
    for folder in &wanted.folders {
        let shown = folder.display();
        match free(folder) {
            Ok(bytes) if bytes < wanted.reserve => {
                return Seen::failed(Trouble::new(
                    format!("{} MiB are free on the disk of {shown}", bytes >> 20),
                    format!("less than {} MiB: soon nothing can be written", wanted.reserve >> 20),
                    format!("du -xh --max-depth=1 {shown} | sort -h"),
                ));
            }
            Ok(bytes) => said.push(format!("{} MiB free on the disk of {shown}", bytes >> 20)),
            Err(error) => {
                return Seen::failed(Trouble::new(
                    format!("{shown} cannot be looked at: {error}"),
                    "the folder is missing, or not for this account",
                    format!("ls -ld {shown}"),
                ));
            }
        }
    }
    let Some(folder) = wanted.folders.first() else {
        return Seen::skipped("there is no folder to look at");
    };
    let shown = folder.display();
    match median_of_writes(folder) {
        Ok(median) if median > SLOW => Seen::warning(
            Trouble::new(
                format!("{}, and a write to {shown} takes {median:.1?}", said.join(", ")),
                "half of the writes take longer than that to be on the disk; everything waits for it",
                "iostat -x 1 5",
            ),
            (),
        ),
        Ok(median) => Seen::fine(format!("{}, a write takes {median:.1?}", said.join(", ")), ()),
        Err(error) => Seen::failed(Trouble::new(
            format!("nothing can be written to {shown}: {error}"),
            "the disk is full or read-only, or the folder is not for this account",
            format!("df -h {shown}; df -i {shown}; ls -ld {shown}"),
        )),
    }
}

/// How long half of the writes take at most until they are on the disk.
fn median_of_writes(folder: &Path) -> io::Result<Duration> {
    let path = folder.join(format!(".doctor-{}", std::process::id()));
    let measured = measure(&path);
    let removed = fs::remove_file(&path);
    let mut times = measured?;
    removed?;
    times.sort();
    Ok(times.get(WRITES / 2).copied().unwrap_or_default())
}

fn measure(path: &Path) -> io::Result<Vec<Duration>> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    let mut times = Vec::with_capacity(WRITES);
    for _ in 0..WRITES {
        let began = Instant::now();
        file.write_all(&PAGE)?;
        file.sync_data()?;
        times.push(began.elapsed());
    }
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::{super::check::Verdict, *};

    fn verdict(folders: &[&Path], reserve: u64) -> Verdict {
        let folders = folders.iter().map(|folder| (*folder).to_owned()).collect();
        look_now(&Wanted { folders, reserve }).verdicts.remove(0).1
    }

    #[test]
    fn room_and_time_are_told_and_nothing_stays_behind() {
        let folder = tempfile::tempdir().unwrap();
        let seen = verdict(&[folder.path()], 0);
        assert!(!matches!(seen, Verdict::Failed(_)), "{seen:?}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn too_little_room_and_a_folder_that_is_not_there_are_failures() {
        let folder = tempfile::tempdir().unwrap();
        let full = verdict(&[folder.path()], u64::MAX);
        assert!(matches!(full, Verdict::Failed(trouble) if trouble.found.contains("MiB are free")));
        let gone = verdict(&[&folder.path().join("gone")], 0);
        assert!(matches!(gone, Verdict::Failed(trouble) if trouble.found.contains("cannot be looked at")));
    }
}
