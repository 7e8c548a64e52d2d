//! Whether two paths lead to one place.

use std::path::{Path, PathBuf};

/// Whether both lead to the same file, which need not exist: links and `..` on the way count for where they lead.
pub fn is_same_place(one: &Path, other: &Path) -> bool {
    resolved(one) == resolved(other)
}

fn resolved(path: &Path) -> PathBuf {
    let of_parent = || Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?));
    path.canonicalize()
        .ok()
        .or_else(of_parent)
        .unwrap_or_else(|| path.components().collect())
}
