//! A unix socket: callers of this machine that need no key, because the system says who they are.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};
use tracing::warn;
use vpnmanager_runtime::log_limit::LogLimit;

static STRANGER: LogLimit = LogLimit::new("a caller of the local socket was refused");

/// The mark of a request that came over the local socket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LocalCaller;

/// A socket in a file of mode 0600, which goes with this value.
#[derive(Debug)]
pub struct LocalSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl LocalSocket {
    /// Listens at this path. A socket that a process left there when it died is replaced.
    ///
    /// # Errors
    /// When somebody listens there, when the file is no socket, or when the system refuses. The text names the path.
    pub fn bind(path: &Path) -> io::Result<Self> {
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("cannot listen on {}: {error}", path.display()));
        refuse_living(path).map_err(named)?;
        let listener = listen(path).map_err(named)?;
        Ok(Self {
            listener,
            path: path.to_owned(),
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The next caller who may do as he likes here: root, or the account of this process.
    pub(super) async fn accept(&self) -> io::Result<UnixStream> {
        loop {
            let (stream, _unnamed) = self.listener.accept().await?;
            let user = stream.peer_cred()?.uid();
            if user == 0 || user == rustix::process::geteuid().as_raw() {
                return Ok(stream);
            }
            if let Some(times) = STRANGER.admit() {
                warn!(
                    user,
                    times, "A caller of the local socket was refused: it is another account's"
                );
            }
        }
    }
}

impl Drop for LocalSocket {
    fn drop(&mut self) {
        // What is left of it is replaced at the next start.
        let _left = fs::remove_file(&self.path);
    }
}

/// What is at the path may go: nothing, or a socket at which nobody answers.
fn refuse_living(path: &Path) -> io::Result<()> {
    let Ok(found) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !found.file_type().is_socket() {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "there is a file that is no socket",
        ));
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_answered) => Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "another process answers there",
        )),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) => Err(error),
    }
}

/// It has its name only once its mode is right: nobody else can connect before.
fn listen(path: &Path) -> io::Result<UnixListener> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut unnamed = path.as_os_str().to_owned();
    unnamed.push("~");
    let unnamed = PathBuf::from(unnamed);
    match fs::remove_file(&unnamed) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(&unnamed)?;
    fs::set_permissions(&unnamed, Permissions::from_mode(0o600))?;
    fs::rename(&unnamed, path)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_dead_socket_is_replaced_and_a_living_one_and_other_files_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api.sock");
        let first = LocalSocket::bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let error = LocalSocket::bind(&path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains("api.sock"), "{error}");
        drop(first);
        assert!(!path.exists());

        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "a process that dies leaves its socket");
        let second = LocalSocket::bind(&path).unwrap();
        let (accepted, client) = tokio::join!(second.accept(), UnixStream::connect(&path));
        assert!(accepted.is_ok() && client.is_ok());
        drop(second);

        fs::write(&path, "mine").unwrap();
        assert_eq!(
            LocalSocket::bind(&path).unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    }
}
