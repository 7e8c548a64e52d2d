//! Writing files that hold secrets.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use super::{init_error::BusInitError, names};

/// A folder that only its owner enters. One that is there and open to others is closed when it holds nothing but the
/// files of a bus; anything else in it means that somebody else uses it, as in `--dir /etc`.
pub(super) fn private_folder(dir: &Path) -> Result<(), BusInitError> {
    let failed = error("make the folder private", dir);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(&failed)?;
    let mode = fs::metadata(dir).map_err(&failed)?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    for entry in fs::read_dir(dir).map_err(&failed)? {
        let name = entry.map_err(&failed)?.file_name();
        if !names::KEPT.iter().chain(&names::RENDERED).any(|ours| name == **ours) {
            return Err(BusInitError::SharedFolder { dir: dir.to_owned() });
        }
    }
    fs::set_permissions(dir, Permissions::from_mode(0o700)).map_err(&failed)
}

/// A file that is not there yet, 0600, on the disk when this returns.
pub(super) fn new_secret(path: &Path, content: &str) -> Result<(), BusInitError> {
    write_new(path, content).map_err(error("write", path))
}

/// A file that may be there, 0600: readers see the old content or the new, never a part.
pub(super) fn replace(path: &Path, content: &str) -> Result<(), BusInitError> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = Path::new(&temporary);
    match fs::remove_file(temporary) {
        Err(refused) if refused.kind() != io::ErrorKind::NotFound => return Err(error("replace", path)(refused)),
        Ok(()) | Err(_) => {}
    }
    write_new(temporary, content)
        .and_then(|()| fs::rename(temporary, path))
        .map_err(error("replace", path))
}

fn write_new(path: &Path, content: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// The whole text of a file.
pub(super) fn read(path: &Path) -> Result<String, BusInitError> {
    fs::read_to_string(path).map_err(error("read", path))
}

fn error(action: &'static str, path: &Path) -> impl Fn(io::Error) -> BusInitError {
    move |source| BusInitError::File {
        action,
        path: path.to_owned(),
        source,
    }
}
