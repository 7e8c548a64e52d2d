//! The folder of a bus.

use std::{
    fs::{self, DirBuilder, Permissions},
    io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::Path,
};

use super::{init_error::BusInitError, names};

/// Creates the folder with mode 0700. An existing folder that is open to others is closed only if it holds nothing but the files
/// of a bus: anything else means that it is used for something else, as in `--dir /etc`.
pub(super) fn make_private(dir: &Path) -> Result<(), BusInitError> {
    let failed = error(dir);
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

fn error(path: &Path) -> impl Fn(io::Error) -> BusInitError {
    move |source| BusInitError::Folder {
        action: "make this folder private:",
        path: path.to_owned(),
        source,
    }
}
