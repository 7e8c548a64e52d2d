//! A disk that a test can fill.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A small file system in memory over a folder, until it is dropped.
pub(super) struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    /// Takes over what the folder holds.
    pub(super) fn over(folder: &Path) -> Self {
        let aside = folder.with_extension("aside");
        fs::rename(folder, &aside).unwrap();
        fs::create_dir(folder).unwrap();
        run(Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"])
            .arg(folder));
        run(Command::new("cp").arg("-a").arg(aside.join(".")).arg(folder));
        fs::remove_dir_all(aside).unwrap();
        Self {
            folder: folder.to_owned(),
        }
    }

    /// Leaves no room; dropping what it returns does.
    pub(super) fn fill(&self) -> Filler {
        let path = self.folder.join("filler");
        // It ends with an error when there is no more room.
        let filled = Command::new("dd")
            .args(["if=/dev/zero", "bs=4096", "status=none"])
            .arg(format!("of={}", path.display()))
            .stderr(std::process::Stdio::null())
            .status();
        assert!(!filled.unwrap().success(), "the disk did not become full");
        Filler { path }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: whoever still uses it keeps it until it ends.
        let _unmounted = Command::new("umount").arg("--lazy").arg(&self.folder).status();
    }
}

/// What fills a disk, until it is dropped.
pub(super) struct Filler {
    pub(super) path: PathBuf,
}

impl Drop for Filler {
    fn drop(&mut self) {
        fs::remove_file(&self.path).unwrap();
    }
}

fn run(command: &mut Command) {
    let status = command.status().unwrap();
    assert!(status.success(), "{command:?}: {status}");
}
