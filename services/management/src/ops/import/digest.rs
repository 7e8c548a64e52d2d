//! What a source is told by: the SHA-256 of its content.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Read},
    path::{Path, PathBuf},
};

use aws_lc_rs::digest::{Context, SHA256};
use data_encoding::HEXLOWER;
use vpnmanager_adopt::limits::{MOST_BYTES, UNREAD_FOLDERS};

const BLOCK: usize = 64 * 1024;

/// Of a file, or of the names and contents of all files of a folder in the order of their names, lower-case hex. Links are not followed there, and what no
/// import reads is left out.
pub(super) fn of_path(path: &Path) -> io::Result<String> {
    let mut context = Context::new(&SHA256);
    if path.is_dir() {
        for file in files_of(path)? {
            let name = file.strip_prefix(path).unwrap_or(&file);
            context.update(name.as_os_str().as_encoded_bytes());
            context.update(b"\0");
            match File::open(&file).and_then(|file| add(&mut context, file.take(MOST_BYTES))) {
                // A private key, which is not needed. Of what is, reading the source says so.
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {}
                added => added?,
            }
            context.update(b"\0");
        }
    } else {
        add(&mut context, File::open(path)?)?;
    }
    Ok(HEXLOWER.encode(context.finish().as_ref()))
}

fn add(context: &mut Context, mut file: impl Read) -> io::Result<()> {
    let mut block = vec![0; BLOCK];
    loop {
        let read = file.read(&mut block)?;
        let Some(some) = block.get(..read).filter(|some| !some.is_empty()) else {
            return Ok(());
        };
        context.update(some);
    }
}

/// The files below a folder, in the order of their names.
fn files_of(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(folder) {
            // As with files.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                let is_unread = UNREAD_FOLDERS.iter().any(|name| entry.file_name() == *name);
                folders.extend((!is_unread).then(|| entry.path()));
            } else if kind.is_file() {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use vpnmanager_profile::profile::sha256_hex;

    use super::*;

    #[test]
    fn a_folder_has_the_digest_of_its_names_and_contents_and_not_of_its_place() {
        let folders = [(); 3].map(|()| tempfile::tempdir().expect("a folder"));
        for folder in &folders {
            fs::create_dir(folder.path().join("pki")).expect("made");
            fs::write(folder.path().join("pki/index.txt"), "V").expect("written");
        }
        fs::write(folders[2].path().join("pki/index.txt"), "R").expect("written");
        fs::create_dir(folders[1].path().join("pki/private")).expect("made");
        fs::write(folders[1].path().join("pki/private/ca.key"), "key").expect("written");
        let [one, same, other] = folders.each_ref().map(|folder| of_path(folder.path()).expect("read"));
        assert_eq!(one, same);
        assert_ne!(one, other);
        assert_eq!(one.len(), 64);
    }

    #[test]
    fn a_file_has_the_digest_of_its_content() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("users.csv");
        fs::write(&path, "username\nalice\n").expect("written");
        assert_eq!(of_path(&path).expect("read"), sha256_hex(b"username\nalice\n"));
    }
}
